/** Pixels inside a polygon, by the even-odd rule at pixel centres. */

import { clip, type Point, type Rect, type Size, type Span } from "./geometry";

export function polygonBounds(points: readonly Point[], size: Size): Rect {
  const xs = points.map((p) => p.x);
  const ys = points.map((p) => p.y);
  return clip({ x0: Math.min(...xs), y0: Math.min(...ys), x1: Math.max(...xs), y1: Math.max(...ys) }, size);
}

/** Spans of a polygon with three corners or more; fewer give none. */
export function polygonSpans(points: readonly Point[], size: Size, span: Span): void {
  if (points.length < 3) return;
  const bounds = polygonBounds(points, size);
  for (let y = bounds.y0; y < bounds.y1; y++) {
    const centre = y + 0.5;
    const crossings: number[] = [];
    for (let i = 0; i < points.length; i++) {
      const a = points[i];
      const b = points[(i + 1) % points.length];
      if (a.y <= centre !== b.y <= centre) crossings.push(a.x + ((centre - a.y) / (b.y - a.y)) * (b.x - a.x));
    }
    crossings.sort((p, q) => p - q);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const x0 = Math.max(0, Math.ceil(crossings[i] - 0.5));
      const x1 = Math.min(size.width, Math.ceil(crossings[i + 1] - 0.5));
      if (x1 > x0) span(y, x0, x1);
    }
  }
}
