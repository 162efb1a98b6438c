/** Rectangles of pixels: x0, y0 inclusive; x1, y1 exclusive. */

export interface Rect {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export interface Point {
  x: number;
  y: number;
}

export interface Size {
  width: number;
  height: number;
}

/** A run of pixels of one row: x from x0 to x1, exclusive. */
export type Span = (y: number, x0: number, x1: number) => void;

export const isEmpty = (r: Rect): boolean => r.x1 <= r.x0 || r.y1 <= r.y0;

export const whole = (size: Size): Rect => ({ x0: 0, y0: 0, x1: size.width, y1: size.height });

export function union(a: Rect | null, b: Rect | null): Rect | null {
  if (!a || isEmpty(a)) return b;
  if (!b || isEmpty(b)) return a;
  return { x0: Math.min(a.x0, b.x0), y0: Math.min(a.y0, b.y0), x1: Math.max(a.x1, b.x1), y1: Math.max(a.y1, b.y1) };
}

/** The part of a rectangle that lies in an image, on whole pixels. */
export function clip(r: Rect, size: Size): Rect {
  return {
    x0: Math.max(0, Math.floor(r.x0)),
    y0: Math.max(0, Math.floor(r.y0)),
    x1: Math.min(size.width, Math.ceil(r.x1)),
    y1: Math.min(size.height, Math.ceil(r.y1)),
  };
}
