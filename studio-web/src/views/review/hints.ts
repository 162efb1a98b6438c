/** What a tool shows above the mask: the brush, the polygon so far, the superpixel or class map it would take. */

import { whole, type Point, type Size } from "../../logic/geometry";
import { borderLines } from "../../logic/outline";
import { toScreen, type View } from "../../logic/view";
import { brushSize, corners, guide, isStroke, superpixelAt, threshold, tool } from "../../store/painting";
import type { Sheet } from "../../store/sheet";
import { linesPath, strokeTwice } from "./drawing";

/** Lines of the last guide: they change less often than the pointer. */
let cached: { key: string; path: Path2D } | null = null;

function guidePath(one: Sheet): Path2D | null {
  const found = guide.value;
  if (!found || found.size.width !== one.size.width || found.size.height !== one.size.height) return null;
  const least = (threshold.value / 100) * 255;
  const key = tool.value === "map" ? `${found.key}|${least}` : found.key;
  if (cached?.key !== key) {
    const data = tool.value === "map" ? Uint8Array.from(found.data, (value) => (value >= least ? 1 : 0)) : found.data;
    cached = { key, path: linesPath(borderLines(data, one.size, whole(one.size))) };
  }
  return cached.path;
}

/** Lines around one superpixel. */
function superpixelPath(one: Sheet, number: number): Path2D | null {
  const found = guide.value;
  if (!found || number < 0) return null;
  const { width, height } = one.size;
  let [x0, y0, x1, y1] = [width, height, 0, 0];
  for (let i = 0; i < found.data.length; i++) {
    if (found.data[i] !== number) continue;
    const x = i % width;
    const y = (i - x) / width;
    if (x < x0) x0 = x;
    if (x > x1) x1 = x;
    if (y < y0) y0 = y;
    if (y > y1) y1 = y;
  }
  return linesPath(borderLines(found.data, one.size, { x0, y0, x1: Math.min(width, x1 + 2), y1: Math.min(height, y1 + 2) }, number));
}

export function drawHints(
  context: CanvasRenderingContext2D,
  size: Size,
  ratio: number,
  one: Sheet | null,
  view: View,
  at: Point | null,
  isCrossHair: boolean,
  isMoving: boolean,
): void {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, size.width, size.height);
  if (!one) return;
  const scale = view.scale * ratio;
  const which = tool.value;
  const inImage = (): void => context.setTransform(scale, 0, 0, scale, view.x * ratio, view.y * ratio);
  const inFrame = (): void => context.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (which === "superpixel" || which === "map") {
    const path = guidePath(one);
    inImage();
    if (path && which === "map") strokeTwice(context, path, scale, ratio, "rgb(0 0 0 / 80%)", "#ffd54a");
    else if (path) {
      context.strokeStyle = "rgb(255 255 255 / 45%)";
      context.lineWidth = ratio / scale;
      context.stroke(path);
      const under = at && superpixelPath(one, superpixelAt(one, at));
      if (under) strokeTwice(context, under, scale, ratio, "rgb(0 0 0 / 80%)", "#ffd54a");
    }
  }
  inFrame();
  if (which === "polygon") drawCorners(context, view, at);
  if (!at || isMoving) return;
  const p = toScreen(view, at);
  if (isStroke(which)) ring(context, p, Math.max(1.5, (brushSize.value * view.scale) / 2));
  if (isCrossHair) crossHair(context, p);
}

function twice(context: CanvasRenderingContext2D, draw: () => void): void {
  for (const [colour, width] of [
    ["rgb(0 0 0 / 75%)", 3],
    ["#fff", 1.2],
  ] as const) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    draw();
    context.stroke();
  }
}

function ring(context: CanvasRenderingContext2D, p: Point, radius: number): void {
  twice(context, () => context.arc(p.x, p.y, radius, 0, 2 * Math.PI));
}

function crossHair(context: CanvasRenderingContext2D, p: Point): void {
  twice(context, () => {
    for (const [dx, dy] of [
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1],
    ]) {
      context.moveTo(p.x + dx * 5, p.y + dy * 5);
      context.lineTo(p.x + dx * 16, p.y + dy * 16);
    }
  });
}

function drawCorners(context: CanvasRenderingContext2D, view: View, at: Point | null): void {
  const points = corners.value.map((p) => toScreen(view, p));
  if (points.length === 0) return;
  twice(context, () => {
    points.forEach((p, i) => (i === 0 ? context.moveTo(p.x, p.y) : context.lineTo(p.x, p.y)));
    if (at) {
      const p = toScreen(view, at);
      context.lineTo(p.x, p.y);
    }
  });
  for (const [i, p] of points.entries()) {
    context.fillStyle = i === 0 ? "#ffd54a" : "#fff";
    ring(context, p, i === 0 ? 5 : 3.5);
    context.fill();
  }
}
