/** The classes: what the selection has, changed by click or key; new classes; settings of a class. */

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ABSENT, PRESENT } from "../../logic/tags";
import { counted, number } from "../../logic/time";
import { targets } from "../../logic/selection";
import { classCounts, classes, images, tagTick } from "../../store/app";
import { addClass, changeClass, press, pressRest, removeClass, selection, shared } from "../../store/tagging";
import { Button, Dialog, Key, Swatch } from "../../ui/bits";
import { Icon } from "../../ui/icons";

const edited = signal<number | null>(null);

function ClassRow({ cls }: { cls: number }): JSX.Element {
  tagTick.value;
  const facts = classes.value[cls];
  const value = shared(cls);
  const found = targets(selection.value);
  const counts = classCounts.value[cls];
  return (
    <li class="class-row">
      <button
        type="button"
        class="class-main"
        aria-pressed={value === PRESENT}
        aria-keyshortcuts={facts.key || undefined}
        disabled={found.length === 0}
        title={`Present in the selection${facts.key ? ` (${facts.key.toUpperCase()})` : ""}`}
        onClick={() => press(cls, PRESENT)}
      >
        {facts.key ? <Key>{facts.key.toUpperCase()}</Key> : <span class="no-key" />}
        <Swatch colour={facts.colour} />
        <span class="grow cut">{facts.name}</span>
        <span class="muted small number count" title={`${number(counts.present)} present, ${number(counts.absent)} absent`}>
          {number(counts.present)}
        </span>
        <span class="state" aria-hidden="true">{value === PRESENT && <Icon name="check" size={16} />}</span>
      </button>
      <button
        type="button"
        class="class-absent"
        aria-pressed={value === ABSENT}
        disabled={found.length === 0}
        aria-label={`${facts.name} is absent`}
        title={`Absent from the selection${facts.key ? ` (Shift ${facts.key.toUpperCase()})` : ""}`}
        onClick={() => press(cls, ABSENT)}
      >
        <Icon name="cross" size={14} />
      </button>
      <button type="button" class="class-edit" aria-label={`Change class ${facts.name}`} title="Name, colour, key" onClick={() => (edited.value = cls)}>
        <Icon name="more" size={16} />
      </button>
    </li>
  );
}

function NewClass(): JSX.Element {
  const [name, setName] = useState("");
  return (
    <form
      class="new-class"
      onSubmit={(event) => {
        event.preventDefault();
        const given = name.trim();
        if (!given) return;
        setName("");
        void addClass(given).then((added) => !added && setName(given));
      }}
    >
      <input
        id="new-class"
        type="text"
        class="grow"
        placeholder="New class"
        aria-label="Name of a new class"
        aria-keyshortcuts="+"
        autocomplete="off"
        maxLength={100}
        value={name}
        onInput={(event) => setName(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      <Button icon="plus" label="Add class" type="submit" disabled={!name.trim()} />
    </form>
  );
}

function EditClass({ cls }: { cls: number }): JSX.Element {
  const facts = classes.value[cls];
  const [name, setName] = useState(facts.name);
  const [colour, setColour] = useState(facts.colour);
  const [key, setKey] = useState(facts.key);
  const [inUse, setInUse] = useState<string | null>(null);
  const close = (): void => void (edited.value = null);
  const keep = async (): Promise<void> => {
    if (await changeClass(cls, { name: name.trim(), colour, key: key.toLowerCase() })) close();
  };
  const remove = async (): Promise<void> => {
    const refused = await removeClass(cls, inUse !== null);
    if (refused) setInUse(refused);
    else close();
  };
  return (
    <Dialog title={`Class ${facts.name}`} onClose={close}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void keep();
        }}
      >
        <label class="field">
          Name
          <input type="text" required maxLength={100} value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <div class="row">
          <label class="field">
            Colour
            <input type="color" value={colour} onInput={(event) => setColour(event.currentTarget.value)} />
          </label>
          <label class="field">
            Key
            <input type="text" maxLength={1} size={2} value={key.toUpperCase()} onInput={(event) => setKey(event.currentTarget.value)} />
          </label>
        </div>
        {inUse && <p class="warning" role="alert">{inUse}. Removing it drops them.</p>}
        <footer>
          <Button kind="danger" onClick={() => void remove()}>{inUse ? "Remove all the same" : "Remove"}</Button>
          <span class="grow" />
          <Button onClick={close}>Cancel</Button>
          <Button kind="primary" type="submit">Save</Button>
        </footer>
      </form>
    </Dialog>
  );
}

export function ClassPanel(): JSX.Element {
  const found = targets(selection.value);
  const all = images.value;
  const title = found.length === 0 ? "Nothing selected" : found.length === 1 && all ? all.names[found[0]] : `${counted(found.length, "image")} selected`;
  return (
    <aside class="classes" aria-label="Classes">
      <p class="selected-name cut" title={title} aria-live="polite">{title}</p>
      {classes.value.length === 0 && <p class="muted first-class">Name what is in the images, one class after the other. Each gets a key.</p>}
      <ul>
        {classes.value.map((one, cls) => (
          <ClassRow key={one.name} cls={cls} />
        ))}
      </ul>
      {classes.value.length > 0 && (
        <Button kind="quiet" class="rest" shortcut="0" disabled={found.length === 0} onClick={pressRest}>
          <Key>0</Key> No other class here
        </Button>
      )}
      <NewClass />
      {edited.value !== null && classes.value[edited.value] && <EditClass cls={edited.value} />}
    </aside>
  );
}
