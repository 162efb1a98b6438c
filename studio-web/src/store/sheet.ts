/** One image under review: its pixels, the mask below, the painted layer, and undo. */

import { signal } from "@preact/signals";
import { whole, type Rect, type Size, type Span } from "../logic/geometry";
import { PatchHistory } from "../logic/history";
import { histogram, isPainted, merge, mergeInto, NOT_PAINTED } from "../logic/layers";

export type Source = "none" | "predicted" | "kept" | "first" | "settings";

export class Sheet {
  /** The final mask: layer over `below`. */
  merged: Uint8Array;
  history: PatchHistory;
  /** Counts changes that are complete: not the parts of a stroke. */
  readonly tick = signal(0);
  readonly source = signal<Source>("none");
  /** Painted since the last save; whoever shows it hears of a change. */
  readonly dirt = signal(false);
  /** Counts how often the mask was kept. */
  settles = 0;
  private painted = false;
  private paintedTick = -1;
  private readonly listeners = new Set<(changed: Rect) => void>();

  constructor(
    readonly name: string,
    readonly size: Size,
    readonly picture: ImageBitmap,
    public below: Uint8Array,
    readonly layer: Uint8Array,
    source: Source,
  ) {
    this.merged = merge(layer, below);
    this.history = new PatchHistory(layer, size);
    this.source.value = source;
  }

  get isDirty(): boolean {
    return this.dirt.peek();
  }

  set isDirty(to: boolean) {
    this.dirt.value = to;
  }

  get isPainted(): boolean {
    if (this.paintedTick !== this.tick.peek() || this.history.isOpen) {
      this.painted = isPainted(this.layer);
      this.paintedTick = this.tick.peek();
    }
    return this.painted;
  }

  /** End the change that is open; says whether it changed anything. */
  commit(): boolean {
    const isChanged = this.history.commit();
    this.tick.value++;
    return isChanged;
  }

  /** Called with each rectangle whose pixels changed. */
  onChange(listener: (changed: Rect) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Paint spans of one value within a change that is open; `bounds` holds all of them. */
  paint(bounds: Rect, value: number, draw: (span: Span) => void): void {
    this.history.touch(bounds);
    const { width } = this.size;
    draw((y, x0, x1) => this.layer.fill(value, y * width + x0, y * width + x1));
    this.changed(bounds);
  }

  undo(): boolean {
    return this.step(this.history.undo());
  }

  redo(): boolean {
    return this.step(this.history.redo());
  }

  /** Give up the change that is open. */
  cancel(): void {
    const changed = this.history.cancel();
    if (changed) this.changed(changed);
    this.tick.value++;
  }

  /** Another mask below; the painting stays. */
  setBelow(mask: Uint8Array, source: Source): void {
    this.below = mask;
    this.source.value = source;
    this.changed(whole(this.size));
    this.tick.value++;
  }

  /** The final mask becomes the mask below, and nothing is painted. */
  settle(): void {
    this.below = this.merged.slice();
    this.layer.fill(NOT_PAINTED);
    this.history = new PatchHistory(this.layer, this.size);
    this.isDirty = false;
    this.settles++;
    this.source.value = "kept";
    this.changed(whole(this.size));
    this.tick.value++;
  }

  /** Take over what somebody else has painted where nothing is painted here; says whether that changed anything. */
  join(other: Uint8Array): boolean {
    this.history.begin();
    this.history.touch(whole(this.size));
    for (let i = 0; i < other.length; i++) if (this.layer[i] === NOT_PAINTED) this.layer[i] = other[i];
    this.changed(whole(this.size));
    return this.commit();
  }

  /** Pixels of each value of the final mask. */
  counts(): Uint32Array {
    return histogram(this.merged);
  }

  private step(changed: Rect | null): boolean {
    if (changed) this.changed(changed);
    this.tick.value++;
    return changed !== null;
  }

  private changed(r: Rect): void {
    mergeInto(this.merged, this.layer, this.below, this.size.width, r);
    for (const listener of this.listeners) listener(r);
  }
}
