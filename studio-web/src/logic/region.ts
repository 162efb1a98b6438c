/** Connected regions (4 neighbours) around a pixel. */

import type { Point, Size, Span } from "./geometry";

/**
 * Spans of the region around a pixel in which `isInside(index)` holds; none where it does not hold at the pixel.
 * Scan-line flood fill with a stack of rows.
 */
export function regionSpans(at: Point, size: Size, isInside: (index: number) => boolean, span: Span): void {
  const { width, height } = size;
  const x = Math.floor(at.x);
  const y = Math.floor(at.y);
  if (x < 0 || y < 0 || x >= width || y >= height || !isInside(y * width + x)) return;
  const seen = new Uint8Array(width * height);
  const stack: number[] = [y * width + x];
  while (stack.length > 0) {
    const start = stack.pop() as number;
    if (seen[start]) continue;
    const row = Math.floor(start / width);
    const base = row * width;
    let x0 = start - base;
    let x1 = x0 + 1;
    while (x0 > 0 && !seen[base + x0 - 1] && isInside(base + x0 - 1)) x0--;
    while (x1 < width && !seen[base + x1] && isInside(base + x1)) x1++;
    seen.fill(1, base + x0, base + x1);
    span(row, x0, x1);
    for (const next of [row - 1, row + 1]) {
      if (next < 0 || next >= height) continue;
      let open = false;
      for (let i = next * width + x0; i < next * width + x1; i++) {
        const inside = !seen[i] && isInside(i);
        if (inside && !open) stack.push(i);
        open = inside;
      }
    }
  }
}

/** The region of one value around a pixel, as `fill` of a paint program takes it. */
export function floodSpans(at: Point, size: Size, values: ArrayLike<number>, span: Span): void {
  const x = Math.floor(at.x);
  const y = Math.floor(at.y);
  const value = values[y * size.width + x];
  regionSpans(at, size, (i) => values[i] === value, span);
}

/** Every pixel for which `isInside(index)` holds, wherever it lies. */
export function allSpans(size: Size, isInside: (index: number) => boolean, span: Span): void {
  for (let y = 0; y < size.height; y++) {
    const base = y * size.width;
    let first = -1;
    for (let x = 0; x <= size.width; x++) {
      const inside = x < size.width && isInside(base + x);
      if (inside && first < 0) first = x;
      if (!inside && first >= 0) {
        span(y, first, x);
        first = -1;
      }
    }
  }
}
