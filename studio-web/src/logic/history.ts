/** Undo and redo of a layer of pixels, as patches: only the blocks that a change touches are kept. */

import { clip, union, type Rect, type Size } from "./geometry";

export const BLOCK = 64;

interface Patch {
  /** Contents that the layer had, or after an undo will have again, by block number. */
  blocks: Map<number, Uint8Array>;
  bytes: number;
}

export class PatchHistory {
  private done: Patch[] = [];
  private undone: Patch[] = [];
  private open: Patch | null = null;
  private readonly columns: number;

  /**
   * @param layer pixels, row by row; changed in place by undo and redo
   * @param size of the layer
   * @param mostBytes kept altogether; the oldest changes go first
   */
  constructor(
    private readonly layer: Uint8Array,
    private readonly size: Size,
    private readonly mostBytes = 64 << 20,
  ) {
    this.columns = Math.ceil(size.width / BLOCK);
  }

  /** Whether a change has begun and not ended. */
  get isOpen(): boolean {
    return this.open !== null;
  }

  get canUndo(): boolean {
    return this.done.length > 0;
  }

  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  /** Start a change; one that is open is ended first. */
  begin(): void {
    if (this.open) this.commit();
    this.open = { blocks: new Map(), bytes: 0 };
  }

  /** Keep what lies under a rectangle, before it is changed. */
  touch(rect: Rect): void {
    const open = this.open;
    if (!open) throw new Error("touch() before begin()");
    const r = clip(rect, this.size);
    if (r.x1 <= r.x0 || r.y1 <= r.y0) return;
    for (let by = Math.floor(r.y0 / BLOCK); by * BLOCK < r.y1; by++) {
      for (let bx = Math.floor(r.x0 / BLOCK); bx * BLOCK < r.x1; bx++) {
        const number = by * this.columns + bx;
        if (open.blocks.has(number)) continue;
        const kept = this.read(this.blockRect(number));
        open.blocks.set(number, kept);
        open.bytes += kept.length;
      }
    }
  }

  /** End a change; says whether it changed anything. */
  commit(): boolean {
    const patch = this.open;
    this.open = null;
    if (!patch) return false;
    for (const [number, kept] of patch.blocks) {
      const now = this.read(this.blockRect(number));
      if (now.every((value, i) => value === kept[i])) {
        patch.blocks.delete(number);
        patch.bytes -= kept.length;
      }
    }
    if (patch.blocks.size === 0) return false;
    this.done.push(patch);
    this.undone = [];
    let bytes = this.done.reduce((sum, one) => sum + one.bytes, 0);
    while (bytes > this.mostBytes && this.done.length > 1) bytes -= (this.done.shift() as Patch).bytes;
    return true;
  }

  /** Take back the change that is open, as if it had not begun. */
  cancel(): Rect | null {
    const patch = this.open;
    this.open = null;
    let changed: Rect | null = null;
    for (const [number, kept] of patch?.blocks ?? []) {
      this.write(this.blockRect(number), kept);
      changed = union(changed, this.blockRect(number));
    }
    return changed;
  }

  /** Take the last change back; returns what it changed. */
  undo(): Rect | null {
    if (this.open) this.commit();
    return this.step(this.done, this.undone);
  }

  /** Make the change again that was taken back last. */
  redo(): Rect | null {
    if (this.open) this.commit();
    return this.step(this.undone, this.done);
  }

  private step(from: Patch[], to: Patch[]): Rect | null {
    const patch = from.pop();
    if (!patch) return null;
    let changed: Rect | null = null;
    for (const [number, other] of patch.blocks) {
      const rect = this.blockRect(number);
      patch.blocks.set(number, this.read(rect));
      this.write(rect, other);
      changed = union(changed, rect);
    }
    to.push(patch);
    return changed;
  }

  private blockRect(number: number): Rect {
    const x = (number % this.columns) * BLOCK;
    const y = Math.floor(number / this.columns) * BLOCK;
    return clip({ x0: x, y0: y, x1: x + BLOCK, y1: y + BLOCK }, this.size);
  }

  private read(r: Rect): Uint8Array {
    const width = r.x1 - r.x0;
    const found = new Uint8Array(width * (r.y1 - r.y0));
    for (let y = r.y0; y < r.y1; y++) {
      const from = y * this.size.width;
      found.set(this.layer.subarray(from + r.x0, from + r.x1), (y - r.y0) * width);
    }
    return found;
  }

  private write(r: Rect, block: Uint8Array): void {
    const width = r.x1 - r.x0;
    for (let y = r.y0; y < r.y1; y++) {
      const from = (y - r.y0) * width;
      this.layer.set(block.subarray(from, from + width), y * this.size.width + r.x0);
    }
  }
}
