/**
 * Grey PNG files, without a canvas: a canvas premultiplies and manages colours, and masks must come back bit for bit.
 * PNG, second edition, W3C 2003: https://www.w3.org/TR/PNG/
 */

import { unzlibSync, zlibSync } from "fflate";

export interface GreyImage {
  width: number;
  height: number;
  /** Row by row; 16 bits where the file has them. */
  data: Uint8Array | Uint16Array;
}

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

const CRC_TABLE = new Uint32Array(256).map((_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

function crc(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = CRC_TABLE[(c ^ bytes[i]) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

function chunk(kind: string, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + body.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  for (let i = 0; i < 4; i++) out[4 + i] = kind.charCodeAt(i);
  out.set(body, 8);
  view.setUint32(8 + body.length, crc(out.subarray(4, 8 + body.length)));
  return out;
}

/** Rows with a filter byte of 0 before each, as they are compressed. */
function rowsOf(width: number, height: number, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const raw = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) raw.set(data.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  return raw;
}

function fileOf(width: number, height: number, compressed: Uint8Array): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits; colour type, compression, filter and interlace are 0
  const parts = [new Uint8Array(SIGNATURE), chunk("IHDR", header), chunk("IDAT", compressed), chunk("IEND", new Uint8Array())];
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Encode 8-bit grey at once, for a page that is closing. */
export function encodeGreyNow(width: number, height: number, data: Uint8Array): Uint8Array<ArrayBuffer> {
  return fileOf(width, height, zlibSync(rowsOf(width, height, data), { level: 1 }));
}

/** Encode 8-bit grey; the compression runs beside the page's own work. */
export async function encodeGrey(width: number, height: number, data: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([rowsOf(width, height, data)]).stream().pipeThrough(new CompressionStream("deflate"));
  return fileOf(width, height, new Uint8Array(await new Response(stream).arrayBuffer()));
}

/**
 * Decode a grey or palette PNG of 1 to 16 bits; a palette gives its indices.
 * @throws Error where the file is none, is damaged, interlaced or has colours
 */
export function decodeGrey(bytes: Uint8Array): GreyImage {
  if (SIGNATURE.some((value, i) => bytes[i] !== value)) throw new Error("not a PNG file");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  let header: Uint8Array | null = null;
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    if (at + 12 + length > bytes.length) throw new Error("the PNG file is cut off");
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (kind === "IHDR") header = body;
    if (kind === "IDAT") parts.push(body);
    if (kind === "IEND") break;
    at += 12 + length;
  }
  if (!header) throw new Error("the PNG file has no header");
  const width = (header[0] << 24) | (header[1] << 16) | (header[2] << 8) | header[3];
  const height = (header[4] << 24) | (header[5] << 16) | (header[6] << 8) | header[7];
  const [bits, colour, , , interlace] = header.subarray(8);
  if ((colour !== 0 && colour !== 3) || interlace !== 0) throw new Error("expected a grey PNG without interlacing");
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (joined.set(part, at), at + part.length), 0);
  const stride = Math.ceil((width * bits) / 8);
  const raw = unzlibSync(joined, { out: new Uint8Array((stride + 1) * height) });
  if (raw.length < (stride + 1) * height) throw new Error("the PNG file is cut off");
  unfilter(raw, stride, height, Math.max(1, bits / 8));
  return { width, height, data: unpack(raw, width, height, bits, stride) };
}

/** Undo the filters of all rows in place; `bpp` is bytes a pixel. */
function unfilter(raw: Uint8Array, stride: number, height: number, bpp: number): void {
  for (let y = 0; y < height; y++) {
    const row = y * (stride + 1) + 1;
    const up = row - stride - 1;
    const kind = raw[row - 1];
    if (kind > 4) throw new Error(`unknown PNG filter ${kind}`);
    if (kind === 0) continue;
    for (let i = 0; i < stride; i++) {
      const a = i >= bpp ? raw[row + i - bpp] : 0;
      const b = y > 0 ? raw[up + i] : 0;
      const c = i >= bpp && y > 0 ? raw[up + i - bpp] : 0;
      raw[row + i] += kind === 1 ? a : kind === 2 ? b : kind === 3 ? (a + b) >> 1 : paeth(a, b, c);
    }
  }
}

function paeth(a: number, b: number, c: number): number {
  const p = a + b - c;
  const [pa, pb, pc] = [Math.abs(p - a), Math.abs(p - b), Math.abs(p - c)];
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

function unpack(raw: Uint8Array, width: number, height: number, bits: number, stride: number): Uint8Array | Uint16Array {
  const data = bits === 16 ? new Uint16Array(width * height) : new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = y * (stride + 1) + 1;
    if (bits === 8) data.set(raw.subarray(row, row + width), y * width);
    else if (bits === 16) for (let x = 0; x < width; x++) data[y * width + x] = (raw[row + 2 * x] << 8) | raw[row + 2 * x + 1];
    else {
      for (let x = 0; x < width; x++) {
        const bit = x * bits;
        data[y * width + x] = (raw[row + (bit >> 3)] >> (8 - bits - (bit & 7))) & ((1 << bits) - 1);
      }
    }
  }
  return data;
}
