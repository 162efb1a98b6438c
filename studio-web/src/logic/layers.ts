/** The painted layer over the predicted mask, and its colours. */

import type { Rect, Size } from "./geometry";

export const NOT_PAINTED = 255;
export const BACKGROUND = 0;
/** Of a final mask: no class was decided on. The same number as `NOT_PAINTED` of a layer. */
export const UNDECIDED = 255;

const HATCH = 0xff333333;

/** The final mask: the layer where it is painted, else the mask below. */
export function merge(layer: Uint8Array, below: Uint8Array): Uint8Array {
  if (layer.length !== below.length) throw new Error(`layer of ${layer.length} pixels over a mask of ${below.length}`);
  const merged = new Uint8Array(layer.length);
  for (let i = 0; i < layer.length; i++) merged[i] = layer[i] === NOT_PAINTED ? below[i] : layer[i];
  return merged;
}

/** Write the merged mask of one rectangle into `merged`. */
export function mergeInto(merged: Uint8Array, layer: Uint8Array, below: Uint8Array, width: number, r: Rect): void {
  for (let y = r.y0; y < r.y1; y++) {
    for (let i = y * width + r.x0; i < y * width + r.x1; i++) merged[i] = layer[i] === NOT_PAINTED ? below[i] : layer[i];
  }
}

/** Whether any pixel is painted; four at a time where memory allows, as this is asked after every stroke. */
export function isPainted(layer: Uint8Array): boolean {
  const whole = layer.byteOffset % 4 === 0 ? layer.length >> 2 : 0;
  const words = new Uint32Array(layer.buffer, whole > 0 ? layer.byteOffset : 0, whole);
  for (let i = 0; i < whole; i++) if (words[i] !== 0xffffffff) return true;
  for (let i = whole * 4; i < layer.length; i++) if (layer[i] !== NOT_PAINTED) return true;
  return false;
}

/** Pixels of each value, 256 of them. */
export function histogram(mask: Uint8Array): Uint32Array {
  const counts = new Uint32Array(256);
  for (let i = 0; i < mask.length; i++) counts[mask[i]]++;
  return counts;
}

/** RGBA words (little-endian) of 256 mask values; background is transparent. */
export function colourTable(colours: readonly string[], only: number | null = null): Uint32Array {
  const table = new Uint32Array(256);
  const put = (value: number, hex: string): void => {
    const rgb = parseInt(hex.slice(1), 16);
    table[value] = ((255 << 24) | ((rgb & 255) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
  };
  for (let value = 1; value < 255; value++) {
    if (only === null || only === value) put(value, colours[value - 1] ?? "#808080");
  }
  if (only === null) put(UNDECIDED, "#ffffff");
  return table;
}

/** Colours of one rectangle of a mask, for `ImageData`; undecided pixels are hatched, so that they look like no class. */
export function colourise(mask: Uint8Array, width: number, r: Rect, table: Uint32Array): Uint8ClampedArray<ArrayBuffer> {
  const words = new Uint32Array((r.x1 - r.x0) * (r.y1 - r.y0));
  let k = 0;
  for (let y = r.y0; y < r.y1; y++) {
    const row = y * width;
    for (let x = r.x0; x < r.x1; x++) {
      const value = mask[row + x];
      words[k++] = value === UNDECIDED && table[UNDECIDED] !== 0 && ((x + y) & 4) !== 0 ? HATCH : table[value];
    }
  }
  return new Uint8ClampedArray(words.buffer);
}

/** A mask at another size, nearest pixel. */
export function resized(mask: Uint8Array, from: Size, to: Size): Uint8Array {
  if (from.width === to.width && from.height === to.height) return mask;
  const out = new Uint8Array(to.width * to.height);
  for (let y = 0; y < to.height; y++) {
    const row = Math.min(from.height - 1, Math.floor(((y + 0.5) * from.height) / to.height)) * from.width;
    for (let x = 0; x < to.width; x++) {
      out[y * to.width + x] = mask[row + Math.min(from.width - 1, Math.floor(((x + 0.5) * from.width) / to.width))];
    }
  }
  return out;
}
