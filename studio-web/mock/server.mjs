// The HTTP interface of `tag2mask studio` on generated images, in memory, for work on the page:
//   npm run mock -- [--images 40] [--port 8017] [--untagged] [--no-run]
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CLASSES, maskOf, pixelsOf, png, randomOf, readPng, shapesOf, sizeOf } from "./images.mjs";
import { Training } from "./training.mjs";

const option = (name, fallback) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : fallback);
const COUNT = Number(option("--images", 40));
const PORT = Number(option("--port", 8017));
const STATIC = join(dirname(fileURLToPath(import.meta.url)), "../../src/tag2mask/studio/static");
const KINDS = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain" };

const names = Array.from({ length: COUNT }, (_, i) => `room-${1 + Math.floor(i / 20)}/image-${String(i + 1).padStart(5, "0")}.jpg`);
const index = new Map(names.map((name, i) => [name, i]));
const classes = process.argv.includes("--untagged") ? [] : CLASSES.map(([name, colour, key]) => ({ name, colour, key }));
const tags = names.map((_, i) => {
  const found = new Map();
  if (!process.argv.includes("--untagged") && (i < 24 || i % 9 === 0)) for (const s of shapesOf(i)) found.set(s.cls, "present");
  return found;
});
const state = { drafts: new Map(), kept: new Map(), run: process.argv.includes("--no-run") || classes.length === 0 ? null : "run-1", fitted: null };
const clients = new Set();
const publish = (type, more = {}) => clients.forEach((one) => one.write(`data: ${JSON.stringify({ type, ...more })}\n\n`));
const training = new Training(names.length, publish, (run) => (state.run = run), () => classes.map((one) => one.name));

const uncertainty = (i) => Math.round(1000 * randomOf(i + 5)()) / 1000;
const maskState = (i) => (state.kept.has(names[i]) ? 3 : state.drafts.has(names[i]) ? 2 : state.run ? 1 : 0);

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const imageOf = (query) => {
  const i = index.get(query.get("name"));
  if (i === undefined) throw new Refused(404, `no image ${query.get("name")}`);
  return i;
};

const json = (value, status = 200) => ({ status, type: "application/json", body: JSON.stringify(value) });
const file = (body, headers = {}) => ({ status: 200, type: "image/png", body, headers });
const nothing = { status: 204, body: "" };

const thumbs = new Map();
function thumb(query) {
  const i = imageOf(query);
  const side = Math.min(768, Number(query.get("side") ?? 192));
  const key = `${i}/${side}`;
  if (!thumbs.has(key)) {
    const [w, h] = sizeOf(i);
    const scale = side / Math.max(w, h);
    const size = [Math.round(w * scale), Math.round(h * scale)];
    thumbs.set(key, png(...size, 3, pixelsOf(i, ...size)));
  }
  return file(thumbs.get(key), { "Cache-Control": "max-age=3600" });
}

function images() {
  const having = (i, value) => [...tags[i]].filter(([, v]) => v === value).map(([cls]) => cls);
  return json({
    names,
    present: names.map((_, i) => having(i, "present")),
    absent: names.map((_, i) => having(i, "absent")),
    state: tags.map((one) => (one.size > 0 ? "tagged" : "untagged")),
    mask: names.map((_, i) => maskState(i)),
    uncertainty: names.map((_, i) => (state.run ? uncertainty(i) : null)),
    corrupt: COUNT > 30 ? [names[29]] : [],
  });
}

function project() {
  const count = (cls, value) => tags.filter((one) => one.get(cls) === value).length;
  return json({
    name: "Rooms",
    folder: "/mock/rooms",
    classes: classes.map((one, cls) => ({ ...one, present: count(cls, "present"), absent: count(cls, "absent") })),
    images: names.length,
    tagged: tags.filter((one) => one.size > 0).length,
    kept: state.kept.size,
    run: state.run,
    runs: state.run ? [state.run] : [],
    read_only: false,
    version: "mock",
  });
}

function suggestions() {
  if (!state.fitted) return json({ state: "none", done: 0, total: 0, message: "", order: [], probs: {} });
  const done = Math.min(COUNT, Math.floor((Date.now() - state.fitted) / 8));
  if (done < COUNT && Date.now() - state.fitted < 2500) return json({ state: "features", done, total: COUNT, message: "", order: [], probs: {} });
  const probs = {};
  names.forEach((name, i) => {
    if (tags[i].size === 0) {
      const random = randomOf(i + 900);
      const there = new Set(shapesOf(i).map((s) => s.cls));
      probs[name] = classes.map((_, cls) => Math.round(100 * (there.has(cls) ? 0.55 + 0.45 * random() : 0.4 * random() ** 3)) / 100);
    }
  });
  const doubt = (name) => Math.min(...probs[name].map((p) => Math.abs(p - 0.5)));
  return json({ state: "ready", done: COUNT, total: COUNT, message: "", order: Object.keys(probs).sort((a, b) => doubt(a) - doubt(b)), probs });
}

function mask(query) {
  const i = imageOf(query);
  const [width, height] = sizeOf(i);
  const kept = state.kept.get(names[i]);
  const source = query.get("source") ?? "auto";
  if (kept && source !== "predicted" && source !== "first") return file(kept, { "X-Source": "kept" });
  if (!state.run && !training.hasMasks) throw new Refused(404, "no mask yet: train first");
  return file(png(width, height, 1, maskOf(i, width, height, source === "first" ? 0.16 : 0.06)), { "X-Source": "predicted" });
}

function classMap(i, cls) {
  const [width, height] = sizeOf(i);
  const out = Buffer.alloc(width * height);
  for (const s of shapesOf(i).filter((one) => one.cls === cls)) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const d = (((x + 0.5) / width - s.x) / s.rx) ** 2 + (((y + 0.5) / height - s.y) / s.ry) ** 2;
        out[y * width + x] = Math.max(out[y * width + x], 255 * Math.exp(-0.6 * d));
      }
    }
  }
  return png(width, height, 1, out);
}

function superpixels(query) {
  const [width, height] = sizeOf(imageOf(query));
  const side = Math.sqrt((width * height) / Number(query.get("count") ?? 400));
  const columns = Math.ceil(width / side);
  const out = Buffer.alloc(width * height * 2);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const row = Math.floor((y + 4 * Math.sin(x / 9)) / side);
      const column = Math.floor((x + 4 * Math.sin(y / 7)) / side);
      out.writeUInt16BE(Math.max(0, row) * (columns + 1) + Math.max(0, column), (y * width + x) * 2);
    }
  }
  return file(png(width, height, 2, out));
}

function setTags({ changes }) {
  for (const one of changes) {
    const i = index.get(one.name);
    if (i === undefined || !classes[one.class]) throw new Refused(422, `unknown image or class: ${one.name}, ${one.class}`);
    if (one.value === "unknown") tags[i].delete(one.class);
    else tags[i].set(one.class, one.value);
  }
  publish("tags");
  return json({ ok: true, tagged: tags.filter((one) => one.size > 0).length });
}

function addClass({ name }) {
  if (classes.some((one) => one.name === name)) throw new Refused(409, `class ${name} is there already`);
  const colour = CLASSES[classes.length % CLASSES.length][1];
  classes.push({ name, colour, key: "123456789qwrtyuiop"[classes.length] ?? "" });
  publish("project");
  return json({ index: classes.length - 1, ...classes.at(-1) });
}

function removeClass(cls, force) {
  const used = tags.filter((one) => one.has(cls)).length;
  if (used > 0 && !force) throw new Refused(409, `class '${classes[cls].name}' is tagged in ${used} images and painted in 0 masks`);
  classes.splice(cls, 1);
  tags.forEach((one, i) => (tags[i] = new Map([...one].filter(([c]) => c !== cls).map(([c, v]) => [c > cls ? c - 1 : c, v]))));
  publish("project");
  return json({ ok: true });
}

function keep(query, body) {
  const { width, height } = readPng(body);
  const [w, h] = sizeOf(imageOf(query));
  if (width !== w || height !== h) throw new Refused(422, `mask of ${width} x ${height}, image of ${w} x ${h}`);
  state.kept.set(query.get("name"), body);
  state.drafts.delete(query.get("name"));
  publish("masks");
  return json({ kept: state.kept.size });
}

function takeBack(query) {
  state.drafts.set(query.get("name"), state.kept.get(query.get("name")));
  state.kept.delete(query.get("name"));
  publish("masks");
  return json({ kept: state.kept.size });
}

const STEPS = ["Class map", "Foreground prior", "Class scores"];

const ROUTES = {
  "GET /api/project": project,
  "GET /api/images": images,
  "GET /api/thumb": thumb,
  "GET /api/pixels": (query) => {
    const i = imageOf(query);
    const [width, height] = sizeOf(i);
    return file(png(width, height, 3, pixelsOf(i, width, height)), { "X-Width": width, "X-Height": height, "X-Scale": 1 });
  },
  "POST /api/tags": (_, body) => setTags(JSON.parse(body)),
  "POST /api/classes": (_, body) => addClass(JSON.parse(body)),
  "GET /api/suggestions": suggestions,
  "POST /api/suggestions": () => {
    state.fitted = Date.now();
    for (let t = 300; t <= 2700; t += 300) setTimeout(() => publish("suggestions"), t);
    return json({ ok: true }, 202);
  },
  "GET /api/queue": () => json({ order: state.run ? names.filter((_, i) => i !== 29).sort((a, b) => uncertainty(index.get(b)) - uncertainty(index.get(a))) : [], kept: [...state.kept.keys()] }),
  "GET /api/mask": mask,
  "GET /api/predictions": () => json({ state: "idle", missing: 0, done: 0, total: 0, error: null }),
  "GET /api/draft": (query) => (state.drafts.has(query.get("name")) ? file(state.drafts.get(query.get("name"))) : nothing),
  "PUT /api/draft": (query, body) => (readPng(body), state.drafts.set(query.get("name"), body), nothing),
  "DELETE /api/draft": (query) => (state.drafts.delete(query.get("name")), nothing),
  "POST /api/keep": keep,
  "DELETE /api/keep": takeBack,
  "GET /api/settings": () => json({ gate: 0.05, crf: { enabled: true, iterations: 10, gaussian_weight: 3, gaussian_xy: 3, bilateral_weight: 5, bilateral_xy: 50, bilateral_rgb: 10 } }),
  "POST /api/predict": (_, body) => {
    const { name, crf, gate } = JSON.parse(body);
    const i = index.get(name);
    const [width, height] = sizeOf(i);
    const data = maskOf(i, width, height, crf?.enabled ? 0.01 * (crf?.bilateral_weight ?? 5) : 0.2);
    return file(png(width, height, 1, gate > 0.9 ? Buffer.alloc(width * height) : data), { "X-Source": "predicted" });
  },
  "GET /api/steps": (query) => json({ steps: STEPS.map((caption, k) => ({ caption, url: `/api/step?name=${encodeURIComponent(query.get("name"))}&k=${k}` })) }),
  "GET /api/step": (query) => file(classMap(imageOf(query), shapesOf(imageOf(query))[0].cls)),
  "GET /api/class-map": (query) => file(classMap(imageOf(query), Number(query.get("class")))),
  "GET /api/superpixels": superpixels,
  "GET /api/corrections": () =>
    json({ corrected: state.kept.size, before: state.kept.size > 0 ? 0.612 : null, after: null, interval: null, note: "Train again to see what the corrections bring." }),
  "GET /api/train": () => json(training.facts()),
  "POST /api/train": (_, body) => json({ run: training.start(JSON.parse(body)) }, 202),
  "POST /api/train/stop": () => (training.stop(), json({ ok: true })),
  "POST /api/export": (_, body) => ({ status: 200, type: "application/json", body: JSON.stringify({ mock: JSON.parse(body) }), headers: { "Content-Disposition": 'attachment; filename="rooms.json"' } }),
};

function events(response) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.write("retry: 1000\n\n: open\n\n");
  clients.add(response);
  response.on("close", () => clients.delete(response));
}

function answer(request, url, body) {
  const route = ROUTES[`${request.method} ${url.pathname}`];
  if (route) return route(url.searchParams, body);
  const cls = /^\/api\/classes\/(\d+)$/.exec(url.pathname);
  if (cls && request.method === "PATCH") return (Object.assign(classes[cls[1]], JSON.parse(body)), publish("project"), json({ ok: true }));
  if (cls && request.method === "DELETE") return removeClass(Number(cls[1]), url.searchParams.get("force") === "true");
  throw new Refused(404, `no route ${request.method} ${url.pathname}`);
}

createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (url.pathname === "/api/events") return events(response);
  const path = join(STATIC, url.pathname === "/" ? "index.html" : url.pathname);
  if (!url.pathname.startsWith("/api") && existsSync(path)) {
    response.writeHead(200, { "Content-Type": KINDS[extname(path)] ?? "application/octet-stream" });
    return createReadStream(path).pipe(response);
  }
  const parts = [];
  for await (const part of request) parts.push(part);
  let found;
  try {
    found = answer(request, url, Buffer.concat(parts));
  } catch (error) {
    found = json({ error: error.message }, error.status ?? 500);
    if (!error.status) console.error(error);
  }
  response.writeHead(found.status, { ...(found.type && { "Content-Type": found.type }), ...found.headers });
  response.end(found.body);
}).listen(PORT, "127.0.0.1", () => console.log(`mock studio with ${COUNT} images: http://127.0.0.1:${PORT}`));
