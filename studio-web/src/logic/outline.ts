/** Borders between values of a mask, as straight lines between pixels. */

import type { Rect, Size } from "./geometry";

/**
 * Lines x0, y0, x1, y1, one after the other, of the borders inside one rectangle: those above and left of its pixels.
 * The borders of the image itself are none. Rectangles that tile the image give every border once.
 *
 * @param only a value: borders of other values are left out
 */
export function borderLines(mask: ArrayLike<number>, size: Size, r: Rect, only: number | null = null): number[] {
  const { width } = size;
  const lines: number[] = [];
  const isBorder = (i: number, j: number): boolean =>
    mask[i] !== mask[j] && (only === null || mask[i] === only || mask[j] === only);
  for (let y = Math.max(1, r.y0); y < r.y1; y++) {
    let start = -1;
    for (let x = r.x0; x <= r.x1; x++) {
      const i = y * width + x;
      const border = x < r.x1 && isBorder(i, i - width);
      if (border && start < 0) start = x;
      if (!border && start >= 0) {
        lines.push(start, y, x, y);
        start = -1;
      }
    }
  }
  for (let x = Math.max(1, r.x0); x < r.x1; x++) {
    let start = -1;
    for (let y = r.y0; y <= r.y1; y++) {
      const i = y * width + x;
      const border = y < r.y1 && isBorder(i, i - 1);
      if (border && start < 0) start = y;
      if (!border && start >= 0) {
        lines.push(x, start, x, y);
        start = -1;
      }
    }
  }
  return lines;
}
