/** Draws a sheet: image, colours of the mask, and its outline in two tones, crisp at every zoom. */

import { clip, isEmpty, whole, type Rect, type Size } from "../../logic/geometry";
import { colourise, colourTable } from "../../logic/layers";
import { borderLines } from "../../logic/outline";
import type { View } from "../../logic/view";
import type { Sheet } from "../../store/sheet";

const TILE = 256;
const PAD = 4; // CSS pixels around a change that its outline may touch

export interface Look {
  colours: readonly string[];
  /** 0..1 */
  opacity: number;
  /** A mask value that is shown alone, or null. */
  only: number | null;
  /** The painted layer without the mask below. */
  isPaintingOnly: boolean;
}

interface Tile {
  rect: Rect;
  /** Colours of its part of the mask. Canvases of one tile: a browser copies a canvas that changes after it was drawn. */
  colours: HTMLCanvasElement | null;
  path: Path2D | null;
  isEmpty: boolean;
}

export function linesPath(lines: readonly number[]): Path2D {
  const path = new Path2D();
  for (let i = 0; i < lines.length; i += 4) {
    path.moveTo(lines[i], lines[i + 1]);
    path.lineTo(lines[i + 2], lines[i + 3]);
  }
  return path;
}

/** Two strokes, dark and light: visible on any image. */
export function strokeTwice(context: CanvasRenderingContext2D, path: Path2D, scale: number, ratio: number, dark = "rgb(0 0 0 / 75%)", light = "#fff"): void {
  context.lineCap = "square";
  context.strokeStyle = dark;
  context.lineWidth = (3.2 * ratio) / scale;
  context.stroke(path);
  context.strokeStyle = light;
  context.lineWidth = (1.2 * ratio) / scale;
  context.stroke(path);
}

export class SheetDrawing {
  private readonly tiles: Tile[] = [];
  private readonly background = document.createElement("canvas");
  private backgroundKey = "";
  private look: Look | null = null;
  private table: Uint32Array = new Uint32Array(256);

  constructor(private readonly sheet: Sheet) {
    for (let y = 0; y < sheet.size.height; y += TILE) {
      for (let x = 0; x < sheet.size.width; x += TILE) {
        const rect = clip({ x0: x, y0: y, x1: x + TILE, y1: y + TILE }, sheet.size);
        this.tiles.push({ rect, colours: null, path: null, isEmpty: false });
      }
    }
  }

  private get shown(): Uint8Array {
    return this.look?.isPaintingOnly ? this.sheet.layer : this.sheet.merged;
  }

  setLook(look: Look): void {
    const before = this.look;
    this.look = look;
    const isSame =
      before !== null && before.only === look.only && before.isPaintingOnly === look.isPaintingOnly && before.colours.join() === look.colours.join();
    if (isSame) return;
    this.table = colourTable(look.colours, look.only);
    if (look.isPaintingOnly) {
      this.table[255] = 0;
      this.table[0] = 0xff303030;
    }
    this.update(whole(this.sheet.size));
  }

  /** Colour a rectangle again, and forget the outlines that touch it. */
  update(changed: Rect): void {
    for (const tile of this.tiles) {
      const t = tile.rect;
      // An outline lies above and left of its pixel: tiles below and right of a change see it too.
      if (t.x0 > changed.x1 || t.x1 < changed.x0 || t.y0 > changed.y1 || t.y1 < changed.y0) continue;
      tile.path = null;
      const r = {
        x0: Math.max(t.x0, changed.x0),
        y0: Math.max(t.y0, changed.y0),
        x1: Math.min(t.x1, changed.x1),
        y1: Math.min(t.y1, changed.y1),
      };
      if (!isEmpty(r)) this.colour(tile, r);
    }
  }

  private colour(tile: Tile, r: Rect): void {
    const { x0, y0, x1, y1 } = tile.rect;
    const pixels = colourise(this.shown, this.sheet.size.width, r, this.table);
    if (!tile.colours) {
      if (new Uint32Array(pixels.buffer).every((word) => word === 0)) return; // nothing to see in this tile yet
      tile.colours = document.createElement("canvas");
      tile.colours.width = x1 - x0;
      tile.colours.height = y1 - y0;
    }
    const context = tile.colours.getContext("2d", { willReadFrequently: true });
    context?.putImageData(new ImageData(pixels, r.x1 - r.x0, r.y1 - r.y0), r.x0 - x0, r.y0 - y0);
  }

  private pathOf(tile: Tile): Path2D {
    if (!tile.path) {
      const lines = borderLines(this.shown, this.sheet.size, tile.rect, this.look?.only ?? null);
      tile.path = linesPath(lines);
      tile.isEmpty = lines.length === 0;
    }
    return tile.path;
  }

  /** The image at this view, drawn again only when the view changes. */
  private backgroundAt(frame: Size, view: View, ratio: number, isQuick: boolean): HTMLCanvasElement {
    const key = [frame.width, frame.height, view.scale, view.x, view.y, ratio, isQuick].join();
    if (key === this.backgroundKey) return this.background;
    this.backgroundKey = key;
    this.background.width = frame.width;
    this.background.height = frame.height;
    const context = this.background.getContext("2d") as CanvasRenderingContext2D;
    const scale = view.scale * ratio;
    context.setTransform(scale, 0, 0, scale, view.x * ratio, view.y * ratio);
    context.imageSmoothingEnabled = scale < 3;
    context.imageSmoothingQuality = isQuick ? "low" : "high";
    context.drawImage(this.sheet.picture, 0, 0, this.sheet.size.width, this.sheet.size.height);
    return this.background;
  }

  /**
   * Draw into a canvas of `frame` device pixels.
   * @param ratio device pixels of a CSS pixel
   * @param changed rectangle of the image outside which nothing has changed since; null: draw all
   * @param isQuick the view is moving: less care for the image
   */
  draw(context: CanvasRenderingContext2D, frame: Size, view: View, ratio: number, isMaskShown: boolean, changed: Rect | null, isQuick: boolean): void {
    const scale = view.scale * ratio;
    const [dx, dy] = [view.x * ratio, view.y * ratio];
    const pad = PAD * ratio;
    const area = changed ?? { x0: -dx / scale, y0: -dy / scale, x1: (frame.width - dx) / scale, y1: (frame.height - dy) / scale };
    const box = clip({ x0: area.x0 * scale + dx - pad, y0: area.y0 * scale + dy - pad, x1: area.x1 * scale + dx + pad, y1: area.y1 * scale + dy + pad }, frame);
    if (isEmpty(box)) return;
    const [width, height] = [box.x1 - box.x0, box.y1 - box.y0];
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    context.rect(box.x0, box.y0, width, height);
    context.clip();
    context.clearRect(box.x0, box.y0, width, height);
    context.drawImage(this.backgroundAt(frame, view, ratio, isQuick), box.x0, box.y0, width, height, box.x0, box.y0, width, height);
    if (isMaskShown && this.look) {
      const seen = { x0: (box.x0 - dx) / scale, y0: (box.y0 - dy) / scale, x1: (box.x1 - dx) / scale, y1: (box.y1 - dy) / scale };
      const tiles = this.tiles.filter(({ rect: t }) => t.x1 >= seen.x0 && t.x0 <= seen.x1 && t.y1 >= seen.y0 && t.y0 <= seen.y1);
      context.globalAlpha = this.look.opacity;
      context.imageSmoothingEnabled = scale < 1;
      for (const { rect: t, colours } of tiles) {
        if (!colours) continue;
        // Edges on whole device pixels: neighbours meet without a seam.
        const [left, top] = [Math.round(t.x0 * scale + dx), Math.round(t.y0 * scale + dy)];
        context.drawImage(colours, left, top, Math.round(t.x1 * scale + dx) - left, Math.round(t.y1 * scale + dy) - top);
      }
      context.globalAlpha = 1;
      context.setTransform(scale, 0, 0, scale, dx, dy);
      for (const tile of tiles) {
        const path = this.pathOf(tile);
        if (!tile.isEmpty) strokeTwice(context, path, scale, ratio);
      }
    }
    context.restore();
  }
}
