/** A small image with its mask. */

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { whole } from "../../logic/geometry";
import { colourise, colourTable, resized } from "../../logic/layers";
import { borderLines } from "../../logic/outline";
import { getGrey, query, thumbUrl } from "../../net/api";
import { classes } from "../../store/app";
import { linesPath, strokeTwice } from "../review/drawing";

const SIDE = 384;

async function draw(canvas: HTMLCanvasElement, name: string, source: string): Promise<void> {
  const picture = new Image();
  picture.src = thumbUrl(name, SIDE);
  const [mask] = await Promise.all([getGrey(query("/api/mask", { name, source })).catch(() => null), picture.decode()]);
  if (!mask && canvas.width > 4) return; // masks that are being written again: those of before stay
  const size = { width: picture.naturalWidth, height: picture.naturalHeight };
  canvas.width = size.width;
  canvas.height = size.height;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.drawImage(picture, 0, 0);
  if (!mask || !(mask.data instanceof Uint8Array)) return;
  const small = resized(mask.data, mask, size);
  const over = new OffscreenCanvas(size.width, size.height);
  const pixels = colourise(small, size.width, whole(size), colourTable(classes.peek().map((one) => one.colour)));
  over.getContext("2d")?.putImageData(new ImageData(pixels, size.width, size.height), 0, 0);
  context.globalAlpha = 0.55;
  context.drawImage(over, 0, 0);
  context.globalAlpha = 1;
  strokeTwice(context, linesPath(borderLines(small, size, whole(size))), 1, 1);
}

export function MaskPicture({ name, source, version }: { name: string; source: string; version: number }): JSX.Element {
  const ref = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (ref.current && (version >= 0 || ref.current.width <= 4)) void draw(ref.current, name, source).catch(() => undefined);
  }, [name, source, version]);
  return <canvas ref={ref} width={4} height={3} role="img" aria-label={`Mask of ${name}`} />;
}
