/** Tools of the review: what they paint on the open sheet. */

import { effect, signal } from "@preact/signals";
import { nextBrush, strokeBounds, strokeSpans } from "../logic/brush";
import type { Point, Size, Span } from "../logic/geometry";
import { BACKGROUND, NOT_PAINTED } from "../logic/layers";
import { decodeGrey } from "../logic/png";
import { polygonBounds, polygonSpans } from "../logic/polygon";
import { allSpans, floodSpans, regionSpans } from "../logic/region";
import { getGrey, query, request } from "../net/api";
import { classes, complain, tell } from "./app";
import { firstSheet, painted, sheet } from "./review";
import type { Sheet } from "./sheet";

export type Tool = "brush" | "eraser" | "restore" | "polygon" | "fill" | "superpixel" | "map" | "hand";

export const tool = signal<Tool>("brush");
/** Mask value that is painted: 0 background, k + 1 for class k. */
export const paintValue = signal(1);
export const brushSize = signal(24);
export const opacity = signal(55);
export const isAlone = signal(false);
export const isHidden = signal(false);
export const isPaintingOnly = signal(false);
/** Of the class map, in percent. */
export const threshold = signal(50);
export const isEverywhere = signal(false);
export const superpixelCount = signal(400);
/** Corners of the polygon that is being drawn. */
export const corners = signal<Point[]>([]);

/** What a tool paints: the eraser background, `restore` nothing, so that the prediction shows again. */
export const valueOf = (which: Tool): number =>
  which === "eraser" ? BACKGROUND : which === "restore" ? NOT_PAINTED : paintValue.value;

export const isStroke = (which: Tool): boolean => which === "brush" || which === "eraser" || which === "restore";

export function chooseTool(to: Tool): void {
  if (to !== "polygon") corners.value = [];
  tool.value = to;
}

export function chooseValue(value: number): void {
  if (value > classes.value.length) return;
  paintValue.value = value;
  if (tool.value === "eraser" || tool.value === "restore" || tool.value === "hand") tool.value = "brush";
}

/** `[` and `]`. */
export function resize(direction: 1 | -1): void {
  if (tool.value === "map") threshold.value = Math.min(99, Math.max(1, threshold.value + direction * 5));
  else if (tool.value === "superpixel") superpixelCount.value = Math.min(4000, Math.max(50, Math.round(superpixelCount.value * (direction > 0 ? 1.25 : 0.8))));
  else brushSize.value = nextBrush(brushSize.value, direction);
}

/** At first a brush of a size that suits the images. */
effect(() => {
  const size = firstSheet.value?.size;
  if (size) brushSize.value = Math.min(24, Math.max(4, Math.round(Math.max(size.width, size.height) / 25)));
});

effect(() => {
  const found = firstSheet.value?.merged.find((value) => value !== BACKGROUND && value !== NOT_PAINTED);
  if (found !== undefined) paintValue.value = found;
});

/* Strokes -------------------------------------------------------------------------------------------------------- */

export function beginStroke(one: Sheet): void {
  one.history.begin();
}

export function stroke(one: Sheet, from: Point, to: Point, which: Tool): void {
  const bounds = strokeBounds(from, to, brushSize.value, one.size);
  if (bounds.x1 > bounds.x0 && bounds.y1 > bounds.y0) {
    one.paint(bounds, valueOf(which), (span) => strokeSpans(from, to, brushSize.value, one.size, span));
  }
}

export function endStroke(one: Sheet): void {
  if (one.commit()) painted(one);
}

/** One change of spans that are known only when they are drawn. */
function paintSpans(one: Sheet, draw: (span: Span) => void): void {
  const runs: number[] = [];
  const bounds = { x0: Infinity, y0: Infinity, x1: 0, y1: 0 };
  draw((y, x0, x1) => {
    runs.push(y, x0, x1);
    bounds.x0 = Math.min(bounds.x0, x0);
    bounds.x1 = Math.max(bounds.x1, x1);
    bounds.y0 = Math.min(bounds.y0, y);
    bounds.y1 = Math.max(bounds.y1, y + 1);
  });
  if (runs.length === 0) return;
  one.history.begin();
  one.paint(bounds, paintValue.value, (span) => {
    for (let i = 0; i < runs.length; i += 3) span(runs[i], runs[i + 1], runs[i + 2]);
  });
  endStroke(one);
}

export function fillAt(one: Sheet, at: Point): void {
  if (at.x < 0 || at.y < 0 || at.x >= one.size.width || at.y >= one.size.height) return;
  paintSpans(one, (span) => floodSpans(at, one.size, one.merged, span));
}

export function closePolygon(): void {
  const one = sheet.value;
  const points = corners.value;
  corners.value = [];
  if (!one || points.length < 3) return;
  const bounds = polygonBounds(points, one.size);
  if (bounds.x1 <= bounds.x0 || bounds.y1 <= bounds.y0) return;
  one.history.begin();
  one.paint(bounds, paintValue.value, (span) => polygonSpans(points, one.size, span));
  endStroke(one);
}

export function undo(): void {
  if (corners.value.length > 0) return void (corners.value = corners.value.slice(0, -1));
  const one = sheet.value;
  if (one?.undo()) painted(one);
}

export function redo(): void {
  const one = sheet.value;
  if (one?.redo()) painted(one);
}

/* Superpixels and class maps ------------------------------------------------------------------------------------- */

interface Guide {
  key: string;
  size: Size;
  data: Uint8Array | Uint16Array;
}

/** Superpixels, or the class map, of the open image; null while they are loaded or where there are none. */
export const guide = signal<Guide | null>(null);
export const isGuideLoading = signal(false);
let wantedGuide = "";

/** Load what the chosen tool points at. */
export async function loadGuide(one: Sheet, which: Tool, value: number, count: number): Promise<void> {
  const url =
    which === "superpixel"
      ? query("/api/superpixels", { name: one.name, count })
      : which === "map" && value > 0
        ? query("/api/class-map", { name: one.name, class: value - 1 })
        : "";
  if (url === wantedGuide && (url === "" || guide.value?.key === url)) return;
  wantedGuide = url;
  guide.value = null;
  isGuideLoading.value = url !== "";
  if (url === "") return;
  try {
    const found = which === "map" ? await getGrey(url) : decodeGrey(new Uint8Array(await (await request(url)).arrayBuffer()));
    if (wantedGuide !== url) return;
    if (!found) tell(`No class map of ${classes.value[value - 1]?.name ?? "this class"} here: the network does not know the class, or is not trained yet.`);
    else guide.value = { key: url, size: found, data: found.data };
  } catch (error) {
    wantedGuide = "";
    complain(error);
  }
  if (wantedGuide === url || wantedGuide === "") isGuideLoading.value = false;
}

const fits = (one: Sheet, found: Guide | null): found is Guide =>
  found !== null && found.size.width === one.size.width && found.size.height === one.size.height;

const indexAt = (one: Sheet, at: Point): number => {
  const x = Math.floor(at.x);
  const y = Math.floor(at.y);
  return x < 0 || y < 0 || x >= one.size.width || y >= one.size.height ? -1 : y * one.size.width + x;
};

/** Number of the superpixel at a point, or -1. */
export function superpixelAt(one: Sheet, at: Point): number {
  const found = guide.value;
  const index = indexAt(one, at);
  return fits(one, found) && index >= 0 ? found.data[index] : -1;
}

export function takeSuperpixel(one: Sheet, at: Point): void {
  const found = guide.value;
  const index = indexAt(one, at);
  if (!fits(one, found) || index < 0) return;
  const number = found.data[index];
  paintSpans(one, (span) => allSpans(one.size, (i) => found.data[i] === number, span));
}

/** Paint the class map above the threshold: the region under the pointer, or all of it. */
export function takeMap(one: Sheet, at: Point): void {
  const found = guide.value;
  if (!fits(one, found)) return;
  const least = (threshold.value / 100) * 255;
  const isInside = (i: number): boolean => found.data[i] >= least;
  const index = indexAt(one, at);
  if (!isEverywhere.value && (index < 0 || !isInside(index))) return tell("The class map is below the threshold here.");
  paintSpans(one, (span) => (isEverywhere.value ? allSpans(one.size, isInside, span) : regionSpans(at, one.size, isInside, span)));
}
