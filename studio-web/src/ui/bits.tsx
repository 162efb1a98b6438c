/** Small parts that every view uses. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon, type IconName } from "./icons";

type ButtonProps = Omit<JSX.IntrinsicElements["button"], "icon" | "label"> & {
  icon?: IconName;
  /** What a screen reader says, and the tooltip, of a button without text. */
  label?: string;
  /** Its key, shown in the tooltip. */
  shortcut?: string;
  kind?: "plain" | "primary" | "quiet" | "danger";
  children?: ComponentChildren;
};

export function Button({ icon, label, shortcut, kind = "plain", children, ...rest }: ButtonProps): JSX.Element {
  const title = label ? (shortcut ? `${label} (${shortcut})` : label) : shortcut;
  const shape = children === undefined ? "button icon-only" : "button";
  return (
    <button type="button" {...rest} class={`${shape} ${kind} ${(rest.class as string) ?? ""}`} title={title} aria-label={label} aria-keyshortcuts={shortcut ? ariaKeys(shortcut) : undefined}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

/** A key as `aria-keyshortcuts` writes it; the first where there are several. */
const ariaKeys = (shortcut: string): string => shortcut.split(" or ")[0].replace("Ctrl", "Control").replaceAll(" ", "+");

export function Key({ children }: { children: ComponentChildren }): JSX.Element {
  return <kbd>{children}</kbd>;
}

export function Swatch({ colour }: { colour: string }): JSX.Element {
  return <span class="swatch" style={{ background: colour }} aria-hidden="true" />;
}

export function Meter({ value, label }: { value: number | null; label: string }): JSX.Element {
  const shown = value === null ? undefined : Math.min(100, Math.max(0, Math.round(value)));
  return (
    <div class={`meter ${value === null ? "busy" : ""}`} role="progressbar" aria-label={label} aria-valuenow={shown} aria-valuemin={0} aria-valuemax={100}>
      <span style={{ width: `${shown ?? 30}%` }} />
    </div>
  );
}

/** A dialog over the page; Escape, the cross or a click beside it closes it. */
export function Dialog(props: { title: string; onClose: () => void; wide?: boolean; children: ComponentChildren }): JSX.Element {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    ref.current?.showModal();
    return () => (before as HTMLElement | null)?.focus?.();
  }, []);
  return (
    <dialog ref={ref} class={props.wide ? "wide" : ""} aria-label={props.title} onClose={props.onClose} onClick={(event) => event.target === ref.current && ref.current?.close()}>
      <div class="dialog-body">
        <header>
          <h2>{props.title}</h2>
          <Button icon="cross" kind="quiet" label="Close" shortcut="Escape" onClick={() => ref.current?.close()} />
        </header>
        {props.children}
      </div>
    </dialog>
  );
}

/** Whether a key press belongs to a field of text, so that it is no command. */
export function isTyping(event: KeyboardEvent): boolean {
  const at = event.target as HTMLElement | null;
  if (document.querySelector("dialog[open]")) return true;
  if (!at || !("tagName" in at)) return false;
  if (at.tagName === "TEXTAREA" || at.tagName === "SELECT" || at.isContentEditable) return true;
  return at.tagName === "INPUT" && !["checkbox", "radio", "range", "button", "color"].includes((at as HTMLInputElement).type);
}

/** The key of an event: figures by their place on the keyboard, so that Shift+1 is still 1. */
export function keyOf(event: KeyboardEvent): string {
  const figure = /^(?:Digit|Numpad)(\d)$/.exec(event.code);
  return figure ? figure[1] : event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

export const isPlain = (event: KeyboardEvent): boolean => !event.ctrlKey && !event.metaKey && !event.altKey;
export const isCommand = (event: KeyboardEvent): boolean => (event.ctrlKey || event.metaKey) && !event.altKey;

/** Listen to keys of the whole page while a component is there. */
export function useKeys(handle: (event: KeyboardEvent) => void): void {
  const current = useRef(handle);
  current.current = handle;
  useEffect(() => {
    const listener = (event: KeyboardEvent): void => current.current(event);
    window.addEventListener("keydown", listener);
    return () => window.removeEventListener("keydown", listener);
  }, []);
}
