/** Pixels under a round brush that moves in a straight line. */

import { clip, isEmpty, type Point, type Rect, type Size, type Span } from "./geometry";

export const LEAST_BRUSH = 1;
export const MOST_BRUSH = 400;

/** Rectangle that a stroke from `a` to `b` may touch. */
export function strokeBounds(a: Point, b: Point, diameter: number, size: Size): Rect {
  const r = diameter / 2 + 1;
  return clip(
    {
      x0: Math.min(a.x, b.x) - r,
      y0: Math.min(a.y, b.y) - r,
      x1: Math.max(a.x, b.x) + r,
      y1: Math.max(a.y, b.y) + r,
    },
    size,
  );
}

/**
 * Spans of the pixels whose centres lie within half a diameter of the line from `a` to `b`; the pixels under both ends
 * always belong to it, so that a brush of one pixel never misses.
 */
export function strokeSpans(a: Point, b: Point, diameter: number, size: Size, span: Span): void {
  const bounds = strokeBounds(a, b, diameter, size);
  const dot = (p: Point): void => {
    const x = Math.floor(p.x);
    const y = Math.floor(p.y);
    if (x >= 0 && y >= 0 && x < size.width && y < size.height) span(y, x, x + 1);
  };
  dot(a);
  dot(b);
  if (isEmpty(bounds)) return;
  const radius2 = (diameter / 2) ** 2;
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const length2 = dx * dx + dy * dy;
  for (let y = bounds.y0; y < bounds.y1; y++) {
    let first = -1;
    let last = -1;
    for (let x = bounds.x0; x < bounds.x1; x++) {
      const px = x + 0.5 - a.x;
      const py = y + 0.5 - a.y;
      const t = length2 > 0 ? Math.min(1, Math.max(0, (px * dx + py * dy) / length2)) : 0;
      const ex = px - t * dx;
      const ey = py - t * dy;
      if (ex * ex + ey * ey <= radius2) {
        if (first < 0) first = x;
        last = x;
      } else if (first >= 0) break; // a capsule is convex: one span a row
    }
    if (first >= 0) span(y, first, last + 1);
  }
}

/** The next size up or down: steps of about a sixth. */
export function nextBrush(diameter: number, direction: 1 | -1): number {
  const step = Math.max(1, Math.round(diameter / 6));
  return Math.min(MOST_BRUSH, Math.max(LEAST_BRUSH, diameter + direction * step));
}
