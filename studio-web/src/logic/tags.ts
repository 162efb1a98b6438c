/** Tags of all images, changes of them with undo, and which images are shown. */

export const UNKNOWN = 0;
export const PRESENT = 1;
export const ABSENT = 2;
export type TagValue = 0 | 1 | 2;

export const TAG_WORDS = ["unknown", "present", "absent"] as const;

/** One value for each image and class; grows with the classes. */
export class TagTable {
  private values: Uint8Array;

  constructor(
    readonly images: number,
    private width: number,
  ) {
    this.values = new Uint8Array(images * width);
  }

  get classes(): number {
    return this.width;
  }

  get(image: number, cls: number): TagValue {
    return (cls < this.width ? this.values[image * this.width + cls] : UNKNOWN) as TagValue;
  }

  set(image: number, cls: number, value: TagValue): void {
    if (cls >= this.width) this.grow(cls + 1);
    this.values[image * this.width + cls] = value;
  }

  isTagged(image: number): boolean {
    const from = image * this.width;
    for (let i = from; i < from + this.width; i++) if (this.values[i] !== UNKNOWN) return true;
    return false;
  }

  /** Whether an image has classes that are present, none that is absent, and others of which nothing is known. */
  isOpen(image: number, classes: number): boolean {
    const values = Array.from({ length: classes }, (_, cls) => this.get(image, cls));
    return values.includes(PRESENT) && values.includes(UNKNOWN) && !values.includes(ABSENT);
  }

  /** Classes of an image that have a value. */
  having(image: number, value: TagValue): number[] {
    const found: number[] = [];
    for (let c = 0; c < this.width; c++) if (this.values[image * this.width + c] === value) found.push(c);
    return found;
  }

  grow(classes: number): void {
    if (classes <= this.width) return;
    const wider = new Uint8Array(this.images * classes);
    for (let i = 0; i < this.images; i++) {
      wider.set(this.values.subarray(i * this.width, (i + 1) * this.width), i * classes);
    }
    this.values = wider;
    this.width = classes;
  }
}

export interface TagChange {
  image: number;
  cls: number;
  before: TagValue;
  after: TagValue;
}

/**
 * What a key press does to the selected images: all get `wanted`, or, where all have it already, become unknown.
 */
export function toggle(table: TagTable, images: readonly number[], cls: number, wanted: TagValue): TagChange[] {
  const after = images.every((i) => table.get(i, cls) === wanted) ? UNKNOWN : wanted;
  return images
    .map((image) => ({ image, cls, before: table.get(image, cls), after: after as TagValue }))
    .filter((change) => change.before !== change.after);
}

/**
 * Suggestions of an image taken as its tags: probable classes present, others absent; known tags stay, and so do those
 * of classes that cannot be judged yet (null).
 */
export function confirm(table: TagTable, image: number, probs: readonly (number | null)[]): TagChange[] {
  const changes: TagChange[] = [];
  for (let cls = 0; cls < probs.length; cls++) {
    const p = probs[cls];
    if (p !== null && table.get(image, cls) === UNKNOWN) {
      changes.push({ image, cls, before: UNKNOWN, after: p >= 0.5 ? PRESENT : ABSENT });
    }
  }
  return changes;
}

/** Every class of which nothing is known becomes absent. */
export function rest(table: TagTable, images: readonly number[], classes: number): TagChange[] {
  return images.flatMap((image) =>
    Array.from({ length: classes }, (_, cls) => cls)
      .filter((cls) => table.get(image, cls) === UNKNOWN)
      .map((cls): TagChange => ({ image, cls, before: UNKNOWN, after: ABSENT })),
  );
}

/**
 * What a key does while suggestions are confirmed: what is present, or suggested, becomes absent, all else present.
 */
export function corrected(table: TagTable, image: number, cls: number, p: number | null): TagChange {
  const before = table.get(image, cls);
  const isThere = before === PRESENT || (before === UNKNOWN && p !== null && p >= 0.5);
  return { image, cls, before, after: isThere ? ABSENT : PRESENT };
}

export const reversed = (changes: readonly TagChange[]): TagChange[] =>
  changes.map((one) => ({ ...one, before: one.after, after: one.before })).reverse();

/** Steps of undo and redo; each is a list of changes made at once. */
export class TagHistory {
  private done: TagChange[][] = [];
  private undone: TagChange[][] = [];

  get canUndo(): boolean {
    return this.done.length > 0;
  }

  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  add(changes: TagChange[]): void {
    if (changes.length === 0) return;
    this.done.push(changes);
    this.undone = [];
  }

  /** Changes that take the last step back. */
  undo(): TagChange[] {
    const step = this.done.pop();
    if (!step) return [];
    this.undone.push(step);
    return reversed(step);
  }

  redo(): TagChange[] {
    const step = this.undone.pop();
    if (!step) return [];
    this.done.push(step);
    return step;
  }

  clear(): void {
    this.done = [];
    this.undone = [];
  }
}

export type StateFilter = "all" | "untagged" | "tagged" | "suggested" | "kept" | "not-kept" | "damaged";

export interface Filter {
  text: string;
  state: StateFilter;
  /** A class, or null for all images. */
  cls: number | null;
  value: TagValue;
  order: "name" | "uncertain";
}

export interface Facts {
  names: readonly string[];
  tags: TagTable;
  mask: ArrayLike<number>;
  corrupt: ReadonlySet<string>;
  /** Position in the order of suggestions; images without are absent. */
  rank: ReadonlyMap<string, number>;
}

export const KEPT = 3;

/** Images to show, by their numbers. */
export function shown(facts: Facts, filter: Filter): number[] {
  const text = filter.text.trim().toLowerCase();
  const found: number[] = [];
  for (let i = 0; i < facts.names.length; i++) {
    const name = facts.names[i];
    if (text && !name.toLowerCase().includes(text)) continue;
    if (filter.cls !== null && facts.tags.get(i, filter.cls) !== filter.value) continue;
    if (!hasState(facts, i, filter.state)) continue;
    found.push(i);
  }
  if (filter.order === "uncertain") {
    const rank = (i: number): number => facts.rank.get(facts.names[i]) ?? facts.names.length + i;
    found.sort((a, b) => rank(a) - rank(b));
  }
  return found;
}

function hasState(facts: Facts, image: number, state: StateFilter): boolean {
  switch (state) {
    case "all":
      return true;
    case "untagged":
      return !facts.tags.isTagged(image);
    case "tagged":
      return facts.tags.isTagged(image);
    case "suggested":
      return facts.rank.has(facts.names[image]) && !facts.tags.isTagged(image);
    case "kept":
      return facts.mask[image] === KEPT;
    case "not-kept":
      return facts.mask[image] !== KEPT;
    case "damaged":
      return facts.corrupt.has(facts.names[image]);
  }
}
