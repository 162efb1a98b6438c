/** Selection in a list: a cursor, an anchor for ranges, and the selected positions' items. */

export interface Selection {
  /** Item under the cursor, or -1. */
  cursor: number;
  anchor: number;
  items: ReadonlySet<number>;
}

export const NOTHING: Selection = { cursor: -1, anchor: -1, items: new Set() };

/** A plain click or key: this item alone. */
export const only = (item: number): Selection => ({ cursor: item, anchor: item, items: new Set([item]) });

/** Ctrl-click or Space: add an item or take it out. */
export function flip(selection: Selection, item: number): Selection {
  const items = new Set(selection.items);
  if (!items.delete(item)) items.add(item);
  return { cursor: item, anchor: item, items };
}

/** Shift-click: all that are shown from the anchor to this item. */
export function extend(selection: Selection, item: number, shown: readonly number[]): Selection {
  const from = shown.indexOf(selection.anchor);
  const to = shown.indexOf(item);
  if (from < 0 || to < 0) return only(item);
  const range = shown.slice(Math.min(from, to), Math.max(from, to) + 1);
  return { cursor: item, anchor: selection.anchor, items: new Set(range) };
}

export function all(selection: Selection, shown: readonly number[]): Selection {
  const cursor = shown.includes(selection.cursor) ? selection.cursor : (shown[0] ?? -1);
  return { cursor, anchor: cursor, items: new Set(shown) };
}

/** Move the cursor by a number of places among the items shown. */
export function move(selection: Selection, by: number, shown: readonly number[], extending: boolean): Selection {
  if (shown.length === 0) return NOTHING;
  const at = shown.indexOf(selection.cursor);
  const next = shown[at < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, at + by))];
  return extending && at >= 0 ? extend(selection, next, shown) : only(next);
}

/** What a tag key changes: the selected items, else the one under the cursor. */
export function targets(selection: Selection): number[] {
  if (selection.items.size > 0) return [...selection.items];
  return selection.cursor >= 0 ? [selection.cursor] : [];
}
