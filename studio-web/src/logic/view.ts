/** Zoom and pan: screen = image * scale + offset, in CSS pixels. */

import type { Point, Size } from "./geometry";

export interface View {
  scale: number;
  x: number;
  y: number;
}

export const MOST_SCALE = 48;

export function fit(image: Size, frame: Size, margin = 16): View {
  const room = (length: number): number => Math.max(1, length - 2 * margin);
  const scale = Math.min(room(frame.width) / image.width, room(frame.height) / image.height);
  return { scale, x: (frame.width - image.width * scale) / 2, y: (frame.height - image.height * scale) / 2 };
}

export const toImage = (view: View, p: Point): Point => ({ x: (p.x - view.x) / view.scale, y: (p.y - view.y) / view.scale });

export const toScreen = (view: View, p: Point): Point => ({ x: p.x * view.scale + view.x, y: p.y * view.scale + view.y });

/** Zoom so that the image's point under `at` stays where it is. */
export function zoomAt(view: View, at: Point, factor: number, image: Size, frame: Size): View {
  const least = Math.min(1, fit(image, frame).scale) / 2;
  const scale = Math.min(MOST_SCALE, Math.max(least, view.scale * factor));
  const ratio = scale / view.scale;
  return hold({ scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio }, image, frame);
}

/** Move the view back where the image would leave the frame: a strip of it always stays visible. */
export function hold(view: View, image: Size, frame: Size): View {
  const strip = 48;
  const within = (offset: number, length: number, room: number): number =>
    Math.min(room - Math.min(strip, room / 2), Math.max(Math.min(strip, room / 2) - length, offset));
  return {
    scale: view.scale,
    x: within(view.x, image.width * view.scale, frame.width),
    y: within(view.y, image.height * view.scale, frame.height),
  };
}
