// Generated images with known masks, and PNG files of them.
import { crc32, deflateSync, inflateSync } from "node:zlib";

export const CLASSES = [
  ["kettle", "#e69f00", "1"],
  ["lamp", "#56b4e9", "2"],
  ["plant", "#009e73", "3"],
  ["chair", "#f0e442", "4"],
  ["window", "#0072b2", "5"],
  ["cup", "#d55e00", "6"],
  ["book", "#cc79a7", "7"],
  ["clock", "#7f5700", "8"],
  ["shelf", "#2f6380", "9"],
  ["curtain", "#00573f", "q"],
  ["radiator", "#84a3c8", "w"],
];

export function randomOf(seed) {
  let state = (seed * 2654435761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
}

/** Ellipses of image `i`: class, centre, radii; in shares of its sides. */
export function shapesOf(i) {
  const random = randomOf(i + 1);
  const count = 1 + Math.floor(random() * 3);
  return Array.from({ length: count }, () => ({
    cls: Math.floor(random() ** 1.6 * 8),
    x: 0.2 + 0.6 * random(),
    y: 0.25 + 0.5 * random(),
    rx: 0.09 + 0.14 * random(),
    ry: 0.1 + 0.18 * random(),
    turn: random() * 3,
  }));
}

export const sizeOf = (i) => (i % 5 === 3 ? [375, 500] : i % 7 === 5 ? [640, 360] : [500, 375]);

const inside = (s, u, v, wobble = 0) => {
  const [dx, dy] = [(u - s.x) / s.rx, (v - s.y) / s.ry];
  const angle = Math.atan2(dy, dx);
  return dx * dx + dy * dy < (1 + 0.12 * Math.sin(3 * angle + s.turn) + wobble * Math.sin(9 * angle + s.turn * 5)) ** 2;
};

export function pixelsOf(i, width, height) {
  const random = randomOf(i + 77);
  const hue = random() * 360;
  const base = rgb(hue, 0.16, 0.62);
  const dark = rgb(hue + 40, 0.22, 0.38);
  const shapes = shapesOf(i);
  const tints = shapes.map((s) => rgb(s.cls * 47 + 20 * random(), 0.45, 0.5 + 0.2 * random()));
  const out = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [u, v] = [(x + 0.5) / width, (y + 0.5) / height];
      const t = v > 0.7 ? 1 : 0.25 * v + 0.15 * Math.sin(u * 14 + i);
      let colour = base.map((c, k) => c + (dark[k] - c) * t);
      shapes.forEach((s, k) => {
        if (inside(s, u, v)) {
          const light = 1.15 - 0.5 * ((v - s.y) / s.ry * 0.5 + 0.5);
          colour = tints[k].map((c) => c * light);
        }
      });
      const grain = (random() - 0.5) * 14;
      for (let k = 0; k < 3; k++) out[(y * width + x) * 3 + k] = Math.max(0, Math.min(255, colour[k] + grain));
    }
  }
  return out;
}

export function maskOf(i, width, height, wobble = 0.06) {
  const out = Buffer.alloc(width * height);
  for (const s of shapesOf(i)) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (inside(s, (x + 0.5) / width, (y + 0.5) / height, wobble)) out[y * width + x] = s.cls + 1;
      }
    }
  }
  return out;
}

function rgb(hue, saturation, light) {
  const a = saturation * Math.min(light, 1 - light);
  return [0, 8, 4].map((n) => {
    const k = (n + hue / 30) % 12;
    return 255 * (light - a * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  });
}

function chunk(kind, body) {
  const out = Buffer.alloc(12 + body.length);
  out.writeUInt32BE(body.length, 0);
  out.write(kind, 4, "latin1");
  body.copy(out, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + body.length)), 8 + body.length);
  return out;
}

/** A PNG of 8-bit grey (`channels` 1), RGB (3) or 16-bit grey (2). */
export function png(width, height, channels, data) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = channels === 2 ? 16 : 8;
  header[9] = channels === 3 ? 2 : 0;
  const stride = width * channels;
  const raw = Buffer.alloc((stride + 1) * height);
  for (let y = 0; y < height; y++) data.copy(raw, y * (stride + 1) + 1, y * stride, (y + 1) * stride);
  const signature = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(raw, { level: 1 })), chunk("IEND", Buffer.alloc(0))]);
}

/** Pixels of an 8-bit grey PNG without filters, as the page sends it. */
export function readPng(file) {
  const width = file.readUInt32BE(16);
  const height = file.readUInt32BE(20);
  const parts = [];
  for (let at = 8; at < file.length; at += 12 + file.readUInt32BE(at)) {
    if (file.toString("latin1", at + 4, at + 8) === "IDAT") parts.push(file.subarray(at + 8, at + 8 + file.readUInt32BE(at)));
  }
  const raw = inflateSync(Buffer.concat(parts));
  const data = Buffer.alloc(width * height);
  for (let y = 0; y < height; y++) raw.copy(data, y * width, y * (width + 1) + 1, (y + 1) * (width + 1));
  return { width, height, data };
}
