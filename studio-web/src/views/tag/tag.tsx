/** Tags of images: toolbar, classes, grid, and keys. */

import type { JSX } from "preact";
import { ABSENT, PRESENT, UNKNOWN, type StateFilter, type TagValue } from "../../logic/tags";
import * as selecting from "../../logic/selection";
import { counted } from "../../logic/time";
import { classes, go, images } from "../../store/app";
import {
  canRedo,
  canUndo,
  confirmSelection,
  correct,
  filter,
  isConfirming,
  list,
  press,
  pressRest,
  probsOf,
  redo,
  selection,
  setFilter,
  suggestions,
  tileWidth,
  undo,
} from "../../store/tagging";
import { Button, isCommand, isPlain, isTyping, keyOf, useKeys } from "../../ui/bits";
import { Icon } from "../../ui/icons";
import { ClassPanel } from "./classes";
import { columns, Grid } from "./grid";
import { ConfirmView, SuggestBar } from "./suggest";

const STATES: [StateFilter, string][] = [
  ["all", "All images"],
  ["untagged", "Untagged"],
  ["tagged", "Tagged"],
  ["suggested", "With suggestions"],
  ["kept", "Mask kept"],
  ["not-kept", "Mask not kept"],
  ["damaged", "Cannot be read"],
];

const VALUES: [TagValue, string][] = [
  [PRESENT, "present"],
  [ABSENT, "absent"],
  [UNKNOWN, "unknown"],
];

function Toolbar(): JSX.Element {
  const now = filter.value;
  return (
    <div class="toolbar" role="toolbar" aria-label="Images shown">
      <label class="search">
        <Icon name="search" size={16} />
        <input
          id="search"
          type="search"
          placeholder="Search names"
          aria-label="Search names"
          aria-keyshortcuts="/"
          value={now.text}
          onInput={(event) => setFilter({ text: event.currentTarget.value })}
        />
      </label>
      <select aria-label="State" value={now.state} onChange={(event) => setFilter({ state: event.currentTarget.value as StateFilter })}>
        {STATES.map(([value, text]) => (
          <option key={value} value={value}>{text}</option>
        ))}
      </select>
      <select
        aria-label="Tag"
        value={now.cls === null ? "" : `${now.cls}:${now.value}`}
        onChange={(event) => {
          const [cls, value] = event.currentTarget.value.split(":");
          setFilter(cls === "" ? { cls: null } : { cls: Number(cls), value: Number(value) as TagValue });
        }}
      >
        <option value="">Any tag</option>
        {VALUES.map(([value, word]) => (
          <optgroup key={word} label={`Class is ${word}`}>
            {classes.value.map((one, cls) => (
              <option key={one.name} value={`${cls}:${value}`}>{`${one.name} ${word}`}</option>
            ))}
          </optgroup>
        ))}
      </select>
      <select aria-label="Order" value={now.order} onChange={(event) => setFilter({ order: event.currentTarget.value as "name" | "uncertain" })}>
        <option value="name">By name</option>
        <option value="uncertain" disabled={!suggestions.value?.order.length}>Least certain first</option>
      </select>
      <span class="muted number" role="status">{counted(list.value.length, "image")}</span>
      <span class="grow" />
      <Button kind="quiet" shortcut="Ctrl A" onClick={selectAll}>Select all</Button>
      <label class="row size" title="Size of the images">
        <Icon name="image" size={16} />
        <span class="unseen">Size of the images</span>
        <input type="range" min={96} max={384} step={16} value={tileWidth.value} onInput={(event) => (tileWidth.value = Number(event.currentTarget.value))} />
      </label>
      <Button icon="undo" kind="quiet" label="Undo" shortcut="Ctrl Z" disabled={!canUndo.value} onClick={undo} />
      <Button icon="redo" kind="quiet" label="Redo" shortcut="Ctrl Shift Z" disabled={!canRedo.value} onClick={redo} />
    </div>
  );
}

const selectAll = (): void => void (selection.value = selecting.all(selection.value, list.value));

const STEPS: Record<string, () => number> = {
  ArrowLeft: () => -1,
  ArrowRight: () => 1,
  ArrowUp: () => -columns.value,
  ArrowDown: () => columns.value,
  PageUp: () => -4 * columns.value,
  PageDown: () => 4 * columns.value,
  Home: () => -1e9,
  End: () => 1e9,
};

/** Images that were confirmed, to go back to. */
const trail: number[] = [];

function handleKey(event: KeyboardEvent): void {
  if (isTyping(event)) return;
  const key = keyOf(event);
  const done = (): void => event.preventDefault();
  if (isCommand(event)) {
    if (key === "z") (done(), event.shiftKey ? redo() : undo());
    else if (key === "y") (done(), redo());
    else if (key === "a" && !isConfirming.value) (done(), selectAll());
    return;
  }
  if (!isPlain(event)) return;
  const isOnButton = (event.target as HTMLElement).closest?.("button, a, summary, input") !== null && (key === "Enter" || key === " ");
  if (isOnButton || (event.target as HTMLElement).tagName === "INPUT") return;
  if (key === "Escape") {
    if (isConfirming.value) isConfirming.value = false;
    else selection.value = { ...selecting.NOTHING, cursor: selection.value.cursor, anchor: selection.value.anchor };
  } else if (key === "Enter") {
    done();
    enter();
  } else if (key === "Backspace" && isConfirming.value) {
    const back = trail.pop();
    if (back !== undefined) selection.value = selecting.only(back);
  } else if (key === "/") (done(), document.getElementById("search")?.focus());
  else if (key === "+") (done(), document.getElementById("new-class")?.focus());
  else if (key in STEPS && !isConfirming.value) {
    done();
    selection.value = selecting.move(selection.value, STEPS[key](), list.value, event.shiftKey);
  } else if (key === " " && !isConfirming.value && selection.value.cursor >= 0) {
    done();
    selection.value = selecting.flip(selection.value, selection.value.cursor);
  } else {
    const cls = classes.value.findIndex((one) => one.key !== "" && one.key.toLowerCase() === key);
    if (cls < 0 && key === "0") (done(), pressRest());
    else if (cls >= 0 && isConfirming.value && !event.shiftKey) (done(), correct(cls));
    else if (cls >= 0) (done(), press(cls, event.shiftKey ? ABSENT : PRESENT));
  }
}

function enter(): void {
  const { cursor } = selection.value;
  if (isConfirming.value || selecting.targets(selection.value).some((i) => probsOf(i))) {
    trail.push(cursor);
    confirmSelection();
  } else if (cursor >= 0 && images.value) go("review", images.value.names[cursor]);
}

export function TagView(): JSX.Element {
  useKeys(handleKey);
  return (
    <div class="tag-view">
      <ClassPanel />
      <div class="tag-main">
        {isConfirming.value ? (
          <ConfirmView />
        ) : (
          <>
            <Toolbar />
            <Grid />
          </>
        )}
        <SuggestBar />
      </div>
    </div>
  );
}
