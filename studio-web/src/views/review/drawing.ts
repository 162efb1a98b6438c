/** Draws a sheet: image, colours of the mask, and its outline in two tones, crisp at every zoom. */

import { clip, isEmpty, whole, type Rect, type Size } from "../../logic/geometry";
import { colourise, colourTable } from "../../logic/layers";
import { borderLines } from "../../logic/outline";
import type { View } from "../../logic/view";
import type { Sheet } from "../../store/sheet";

const TILE = 256;

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
  private readonly colours: HTMLCanvasElement;
  private readonly context: CanvasRenderingContext2D;
  private readonly tiles: Tile[] = [];
  private look: Look | null = null;
  private table: Uint32Array = new Uint32Array(256);

  constructor(private readonly sheet: Sheet) {
    this.colours = document.createElement("canvas");
    this.colours.width = sheet.size.width;
    this.colours.height = sheet.size.height;
    this.context = this.colours.getContext("2d") as CanvasRenderingContext2D;
    for (let y = 0; y < sheet.size.height; y += TILE) {
      for (let x = 0; x < sheet.size.width; x += TILE) {
        this.tiles.push({ rect: clip({ x0: x, y0: y, x1: x + TILE, y1: y + TILE }, sheet.size), path: null, isEmpty: false });
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
    const r = clip(changed, this.sheet.size);
    if (isEmpty(r)) return;
    const pixels = colourise(this.shown, this.sheet.size.width, r, this.table);
    this.context.putImageData(new ImageData(pixels, r.x1 - r.x0, r.y1 - r.y0), r.x0, r.y0);
    for (const tile of this.tiles) {
      const t = tile.rect;
      // An outline lies above and left of its pixel: tiles below and right of a change see it too.
      if (t.x0 <= r.x1 && t.x1 >= r.x0 && t.y0 <= r.y1 && t.y1 >= r.y0) tile.path = null;
    }
  }

  private pathOf(tile: Tile): Path2D {
    if (!tile.path) {
      const lines = borderLines(this.shown, this.sheet.size, tile.rect, this.look?.only ?? null);
      tile.path = linesPath(lines);
      tile.isEmpty = lines.length === 0;
    }
    return tile.path;
  }

  /**
   * Draw into a canvas of `frame` device pixels.
   * @param ratio device pixels of a CSS pixel
   */
  draw(context: CanvasRenderingContext2D, frame: Size, view: View, ratio: number, isMaskShown: boolean): void {
    const { width, height } = this.sheet.size;
    const scale = view.scale * ratio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.clearRect(0, 0, frame.width, frame.height);
    context.setTransform(scale, 0, 0, scale, view.x * ratio, view.y * ratio);
    context.imageSmoothingEnabled = scale < 3;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.sheet.picture, 0, 0, width, height);
    if (!isMaskShown || !this.look) return;
    context.imageSmoothingEnabled = scale < 1;
    context.globalAlpha = this.look.opacity;
    context.drawImage(this.colours, 0, 0);
    context.globalAlpha = 1;
    const seen = {
      x0: (-view.x * ratio) / scale,
      y0: (-view.y * ratio) / scale,
      x1: (frame.width - view.x * ratio) / scale,
      y1: (frame.height - view.y * ratio) / scale,
    };
    for (const tile of this.tiles) {
      const t = tile.rect;
      if (t.x1 < seen.x0 || t.x0 > seen.x1 || t.y1 < seen.y0 || t.y0 > seen.y1) continue;
      const path = this.pathOf(tile);
      if (!tile.isEmpty) strokeTwice(context, path, scale, ratio);
    }
  }
}
