/** Review and correct masks. */

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { reviewed, waiting } from "../../store/app";
import {
  chooseTool,
  chooseValue,
  closePolygon,
  corners,
  isAlone,
  isHidden,
  paintValue,
  redo,
  resize,
  tool,
  undo,
  type Tool,
} from "../../store/painting";
import { flushNow, isEncoding, isLoading, keep, queue, sheet, sheetError, step } from "../../store/review";
import { classes } from "../../store/app";
import { Button, isCommand, isPlain, isTyping, keyOf, useKeys } from "../../ui/bits";
import { Icon, type IconName } from "../../ui/icons";
import { isPanelOpen, Panel } from "./panel";
import { QueueBar } from "./queue";
import { fitView, isMoving, Stage, toggleZoom, view, zoomBy } from "./stage";

const TOOLS: [Tool, IconName, string, string][] = [
  ["brush", "brush", "Brush", "B"],
  ["eraser", "eraser", "Eraser: background", "E"],
  ["restore", "restore", "Back to the prediction", "X"],
  ["polygon", "polygon", "Polygon", "P"],
  ["fill", "fill", "Fill a region", "F"],
  ["superpixel", "superpixel", "Take a superpixel", "S"],
  ["map", "map", "Take the class map", "M"],
  ["hand", "hand", "Move the image", "H"],
];

function Rail(): JSX.Element {
  const one = sheet.value;
  one?.tick.value;
  const chosen = classes.value[paintValue.value - 1];
  return (
    <div class="rail" role="toolbar" aria-label="Tools" aria-orientation="vertical">
      <span class="chosen" title={`You paint ${chosen?.name ?? "background"}`} style={{ background: chosen?.colour ?? "transparent" }} />
      {TOOLS.map(([name, icon, label, key]) => (
        <Button key={name} icon={icon} kind="quiet" label={label} shortcut={key} aria-pressed={tool.value === name} onClick={() => chooseTool(name)} />
      ))}
      <hr />
      <Button icon="undo" kind="quiet" label="Undo" shortcut="Ctrl Z" disabled={!one?.history.canUndo && corners.value.length === 0} onClick={undo} />
      <Button icon="redo" kind="quiet" label="Redo" shortcut="Ctrl Shift Z" disabled={!one?.history.canRedo} onClick={redo} />
      <hr />
      <Button icon="plus" kind="quiet" label="Zoom in" shortcut="+" onClick={() => zoomBy(1.4)} />
      <Button icon="minus" kind="quiet" label="Zoom out" shortcut="-" onClick={() => zoomBy(1 / 1.4)} />
      <Button icon="fit" kind="quiet" label="Whole image" shortcut="Z" onClick={fitView} />
    </div>
  );
}

const KEYS: Record<string, () => void> = {
  ...Object.fromEntries(TOOLS.map(([name, , , key]) => [key.toLowerCase(), () => chooseTool(name)])),
  "[": () => resize(-1),
  "]": () => resize(1),
  "+": () => zoomBy(1.25),
  "=": () => zoomBy(1.25),
  "-": () => zoomBy(0.8),
  z: toggleZoom,
  k: () => void keep(),
  o: () => void (isAlone.value = !isAlone.value),
  PageDown: () => step(1),
  PageUp: () => step(-1),
};

function handleKey(event: KeyboardEvent): void {
  if (isTyping(event)) return;
  const key = keyOf(event);
  const target = event.target as HTMLElement;
  if (isCommand(event)) {
    if (key === "z" || key === "y") {
      event.preventDefault();
      if (key === "y" || event.shiftKey) redo();
      else undo();
    }
    return;
  }
  if (!isPlain(event)) return;
  const isOnControl = target.closest?.("button, a, summary, input") !== null;
  if (isOnControl && (key === " " || key === "Enter" || (target.tagName === "INPUT" && /^(Arrow|Page|Home|End)/.test(key)))) return;
  if (key === " ") {
    event.preventDefault();
    isMoving.value = true;
  } else if (key === "v") isHidden.value = true;
  else if (key === "n") step(event.shiftKey ? -1 : 1);
  else if (key === "Enter") closePolygon();
  else if (key === "Escape") corners.value = [];
  else if (key === "Backspace" && corners.value.length > 0) undo();
  else if (key === "/") {
    event.preventDefault();
    isPanelOpen.value = true;
    setTimeout(() => document.getElementById("class-search")?.focus());
  } else if (/^\d$/.test(key)) chooseValue(Number(key));
  else if (KEYS[key]) {
    if (event.repeat && key === "k") return;
    event.preventDefault();
    KEYS[key]();
  }
}

function useRelease(): void {
  useEffect(() => {
    const release = (event: Event): void => {
      const key = event instanceof KeyboardEvent ? event.key : "";
      if (key === " " || key === "") isMoving.value = false;
      if (key.toLowerCase() === "v" || key === "") isHidden.value = false;
    };
    window.addEventListener("keyup", release);
    window.addEventListener("blur", release);
    return () => {
      window.removeEventListener("keyup", release);
      window.removeEventListener("blur", release);
      flushNow();
    };
  }, []);
}

function Status(): JSX.Element {
  const one = sheet.value;
  one?.tick.value;
  return (
    <div class="status">
      <span class="cut name">{reviewed.value}</span>
      {one && <span class="number muted">{one.size.width} × {one.size.height}</span>}
      <span class="number muted">{Math.round(view.value.scale * 100)}%</span>
      <span class="muted" role="status">{one?.dirt.value || isEncoding.value || waiting.value > 0 ? "Saving…" : one?.isPainted ? "Painting saved" : ""}</span>
      <span class="grow" />
      <Button icon="panel" kind="quiet" class="panel-switch" label="Classes and settings" aria-expanded={isPanelOpen.value} aria-controls="panel" onClick={() => (isPanelOpen.value = !isPanelOpen.value)} />
    </div>
  );
}

export function ReviewView(): JSX.Element {
  useKeys(handleKey);
  useRelease();
  if (queue.value.length === 0) {
    return (
      <div class="empty">
        <p>There is no image to review.</p>
      </div>
    );
  }
  return (
    <div class="review">
      <Rail />
      <div class="review-main">
        <Status />
        <div class="stage-box">
          <Stage />
          {isLoading.value && <p class="over" role="status">Loading…</p>}
          {sheetError.value && (
            <p class="over" role="alert">
              <Icon name="warn" /> {sheetError.value}
            </p>
          )}
        </div>
      </div>
      <Panel />
      <QueueBar />
    </div>
  );
}
