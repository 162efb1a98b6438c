/** Review of masks: the queue, loading with prefetch, autosave, keeping. */

import { computed, effect, signal } from "@preact/signals";
import type { Size } from "../logic/geometry";
import { NOT_PAINTED, resized } from "../logic/layers";
import { decodeGrey, encodeGrey, encodeGreyNow, type GreyImage } from "../logic/png";
import { KEPT } from "../logic/tags";
import { ApiError, getGrey, getJson, query, request, send } from "../net/api";
import type { QueueFacts } from "../net/types";
import { complain, go, images, noteMask, reviewed, run, tell, view } from "./app";
import { drained, noteVersion, onNews, save, unsaved, versionOf } from "./saving";
import { Sheet, type Source } from "./sheet";

const AHEAD = 2; // images loaded before they are asked for
const MOST_SHEETS = 6;
const QUIET_MS = 900; // autosave this long after the last stroke
const LATEST_MS = 2000; // and this long after the first

const MASK_STATE = { none: 0, predicted: 1, draft: 2, kept: 3 } as const;

export const queue = signal<string[]>([]);
export const sheet = signal<Sheet | null>(null);
export const sheetError = signal<string | null>(null);
export const isLoading = signal(false);
/** The first sheet that was shown: painting starts with a class that it has. */
export const firstSheet = signal<Sheet | null>(null);

export const isKept = (name: string): boolean => {
  const all = images.value;
  return all !== null && all.mask[all.index.get(name) ?? -1] === KEPT;
};
export const position = computed(() => queue.value.indexOf(reviewed.value ?? ""));

/* Loading -------------------------------------------------------------------------------------------------------- */

const sheets = new Map<string, Promise<Sheet>>();

function ofSize(found: GreyImage, size: Size): Uint8Array {
  if (!(found.data instanceof Uint8Array)) throw new Error("expected a mask of 8 bits");
  return resized(found.data, found, size);
}

async function fetchDraft(name: string): Promise<GreyImage | null> {
  const response = await request(query("/api/draft", { name }));
  noteVersion(`draft:${name}`, response.headers.get("X-Version"));
  return response.status === 204 ? null : decodeGrey(new Uint8Array(await response.arrayBuffer()));
}

async function fetchMask(name: string): Promise<(GreyImage & { source: string }) | null> {
  const found = await getGrey(query("/api/mask", { name, source: "auto" }), undefined, (headers) => noteVersion(`keep:${name}`, headers.get("X-Kept")));
  if (!found) noteVersion(`keep:${name}`, "none");
  return found;
}

/** A mask or draft: what waits to be saved, else what the server has. */
async function stored<T extends GreyImage | null>(key: string, fetched: () => Promise<T>): Promise<T | (GreyImage & { source: string }) | null> {
  const entry = unsaved(key);
  if (!entry) return fetched();
  if (!versionOf(key)) noteVersion(key, entry.base);
  return entry.body && entry.method !== "DELETE" ? { ...decodeGrey(entry.body), source: "kept" } : null;
}

async function loadSheet(name: string): Promise<Sheet> {
  const [response, mask, draft] = await Promise.all([
    request(query("/api/pixels", { name })),
    stored(`keep:${name}`, () => fetchMask(name)),
    stored(`draft:${name}`, () => fetchDraft(name)),
  ]);
  const picture = await createImageBitmap(await response.blob());
  const size = {
    width: Number(response.headers.get("X-Width")) || picture.width,
    height: Number(response.headers.get("X-Height")) || picture.height,
  };
  const pixels = size.width * size.height;
  const below = mask ? ofSize(mask, size) : new Uint8Array(pixels);
  const layer = draft ? ofSize(draft, size) : new Uint8Array(pixels).fill(NOT_PAINTED);
  return new Sheet(name, size, picture, below, layer, (mask?.source as Source | undefined) ?? "none");
}

/** The sheet of an image; kept for a while, so that its undo survives a look at the next image. */
function fetchSheet(name: string): Promise<Sheet> {
  let found = sheets.get(name);
  if (found) sheets.delete(name);
  else {
    found = loadSheet(name);
    found.catch(() => sheets.delete(name));
  }
  sheets.set(name, found);
  for (const [old, promise] of sheets) {
    if (sheets.size <= MOST_SHEETS) break;
    if (old === reviewed.value) continue;
    sheets.delete(old);
    void promise.then((one) => (one.isDirty ? flush(one) : undefined)).catch(() => undefined);
  }
  return found;
}

async function show(name: string): Promise<void> {
  const before = sheet.value;
  if (before?.isDirty && before.name !== name) void flush(before);
  const slow = setTimeout(() => (isLoading.value = true), 150);
  try {
    const found = await fetchSheet(name);
    if (reviewed.value !== name) return;
    const isFirst = sheet.value === null;
    sheet.value = found;
    if (isFirst) firstSheet.value = found;
    sheetError.value = null;
    prefetch(name);
  } catch (error) {
    if (reviewed.value !== name) return;
    sheet.value = null;
    sheetError.value = (error as Error).message;
    if (error instanceof ApiError && error.status === 0) setTimeout(() => reviewed.value === name && void show(name), 3000);
  } finally {
    clearTimeout(slow);
    if (reviewed.value === name) isLoading.value = false;
  }
}

function prefetch(name: string): void {
  const all = queue.value;
  const at = all.indexOf(name);
  const next = nextOpen(name);
  const wanted = new Set([...all.slice(at + 1, at + 1 + AHEAD), ...(next ? [next] : [])]);
  for (const one of wanted) void fetchSheet(one).catch(() => undefined);
}

/** Drop sheets whose mask below is old; what is being painted on stays. */
async function forgetSheets(isOld: (one: Sheet) => boolean): Promise<void> {
  for (const [name, promise] of [...sheets]) {
    const one = await promise.catch(() => null);
    if (!one || one.isDirty || one.history.canUndo || sheets.get(name) !== promise || !isOld(one)) continue;
    sheets.delete(name);
    if (one === sheet.value && view.value === "review") await show(name);
  }
}

/* Autosave ------------------------------------------------------------------------------------------------------- */

let timer: ReturnType<typeof setTimeout> | null = null;
let firstChange = 0;
let saving: Promise<void> = Promise.resolve();
/** A painting is on its way to the outbox. */
export const isEncoding = signal(false);

/** Note that the layer of a sheet was painted; it is saved soon. */
export function painted(one: Sheet): void {
  if (!one.isDirty) firstChange = performance.now();
  one.isDirty = true;
  if (timer) clearTimeout(timer);
  const pause = Math.max(0, Math.min(QUIET_MS, firstChange + LATEST_MS - performance.now()));
  timer = setTimeout(() => void flush(one), pause);
}

function store(one: Sheet, file: Uint8Array<ArrayBuffer> | null): void {
  const url = query("/api/draft", { name: one.name });
  const state = isKept(one.name) ? MASK_STATE.kept : file ? MASK_STATE.draft : one.source.value === "none" ? MASK_STATE.none : MASK_STATE.predicted;
  save(file ? "PUT" : "DELETE", url, file, `draft:${one.name}`);
  noteMask(one.name, state);
}

/** Save the painting of a sheet. */
export function flush(one: Sheet): Promise<void> {
  saving = saving.then(async () => {
    if (!one.isDirty) return;
    one.isDirty = false;
    const { settles } = one;
    isEncoding.value = true;
    const file = one.isPainted ? await encodeGrey(one.size.width, one.size.height, one.layer) : null;
    if (one.settles === settles && (!one.isDirty || file)) store(one, file);
    isEncoding.value = false;
  });
  return saving;
}

/** Save at once, as the page may be gone the next moment. */
export function flushNow(): void {
  for (const kept of keeping) storeKept(kept, encodeGreyNow(kept.size.width, kept.size.height, kept.mask));
  const one = sheet.value;
  if (!one?.isDirty) return;
  one.isDirty = false;
  store(one, one.isPainted ? encodeGreyNow(one.size.width, one.size.height, one.layer) : null);
}

/* Moving and keeping --------------------------------------------------------------------------------------------- */

/** The next image of the queue that is not kept, from the start after the end; null where all are. */
export function nextOpen(name: string): string | null {
  const all = queue.value;
  const at = all.indexOf(name);
  for (let k = 1; k < all.length; k++) {
    const one = all[(at + k) % all.length];
    if (!isKept(one)) return one;
  }
  return null;
}

export function step(by: 1 | -1): void {
  const next = queue.value[position.value + by];
  if (next !== undefined) go("review", next);
}

interface Kept {
  name: string;
  size: Size;
  mask: Uint8Array;
}

/** Masks that are kept and not encoded yet. */
const keeping = new Set<Kept>();

function storeKept(kept: Kept, file: Uint8Array<ArrayBuffer>): void {
  if (!keeping.delete(kept)) return; // stored already, as the page was about to close
  const { name } = kept;
  save("POST", query("/api/keep", { name }), file, `keep:${name}`);
  save("DELETE", query("/api/draft", { name }), null, `draft:${name}`);
}

/** Keep the mask as it is shown, and go on. */
export async function keep(): Promise<void> {
  const one = sheet.value;
  if (!one || one.name !== reviewed.value) return;
  const kept = { name: one.name, size: one.size, mask: one.merged.slice() };
  keeping.add(kept);
  const next = nextOpen(one.name);
  one.settle();
  noteMask(one.name, KEPT);
  if (next) go("review", next);
  else tell("Every mask of the queue is kept.");
  const file = await encodeGrey(kept.size.width, kept.size.height, kept.mask);
  await saving;
  storeKept(kept, file);
}

/** The kept mask becomes painting again. */
export async function takeBack(): Promise<void> {
  const one = sheet.value;
  if (!one) return;
  try {
    await flush(one);
    await drained();
    await send("DELETE", query("/api/keep", { name: one.name }));
    sheets.delete(one.name);
    noteMask(one.name, MASK_STATE.draft);
    await show(one.name);
  } catch (error) {
    complain(error);
  }
}

/** Everything painted on this image goes; undo brings it back. */
export function clearPainting(): void {
  const one = sheet.value;
  if (!one) return;
  one.history.begin();
  one.paint({ x0: 0, y0: 0, x1: one.size.width, y1: one.size.height }, NOT_PAINTED, (span) => {
    for (let y = 0; y < one.size.height; y++) span(y, 0, one.size.width);
  });
  if (one.commit()) painted(one);
}

/* Following ------------------------------------------------------------------------------------------------------ */

export async function loadQueue(): Promise<void> {
  const names = images.value?.names ?? [];
  let order: string[] = [];
  try {
    order = (await getJson<QueueFacts>("/api/queue")).order;
  } catch (error) {
    if (!(error instanceof ApiError && error.status >= 400)) throw error;
  }
  const known = new Set(order);
  const all = images.value;
  const rest = names.filter((name) => !known.has(name) && !all?.corrupt.has(name));
  const found = [...order.filter((name) => all?.index.has(name)), ...rest];
  if (found.length !== queue.value.length || found.some((name, i) => name !== queue.value[i])) queue.value = found;
}

/** Take over what another page has painted on an image that is loaded here. */
async function followDraft(name: string, version: unknown): Promise<void> {
  await drained();
  if (versionOf(`draft:${name}`) === version) return;
  if (version !== "none" && !isKept(name)) noteMask(name, MASK_STATE.draft);
  const promise = sheets.get(name);
  const one = await promise?.catch(() => null);
  if (!one || sheets.get(name) !== promise) return;
  if (!one.isDirty && !one.history.canUndo && !one.history.isOpen) {
    sheets.delete(name);
    if (one === sheet.value && view.value === "review") await show(name);
    return;
  }
  const draft = await fetchDraft(name);
  if (draft && !one.history.isOpen && one.join(ofSize(draft, one.size))) painted(one);
}

/** Another page has kept a mask of an image that is loaded here. */
async function followKept(name: string, version: unknown): Promise<void> {
  await drained();
  if (versionOf(`keep:${name}`) !== version) await forgetSheets((one) => one.name === name);
}

/** Follow the open image, the queue, and pages that close. */
export function followReview(): void {
  void loadQueue().catch(complain);
  onNews((news) => {
    if (news.type === "open" || news.type === "masks") void loadQueue().catch(complain);
    if (news.type === "drafts" || news.type === "joined") void followDraft(String(news.name), news.version).catch(complain);
    if (news.type === "masks" && news.name) void followKept(String(news.name), news.version).catch(complain);
    if (news.type === "open") void forgetSheets(() => true).catch(complain);
  });
  let shownRun = run.value;
  effect(() => {
    if (run.value === shownRun) return;
    shownRun = run.value;
    void forgetSheets((one) => one.source.value !== "kept");
    void loadQueue().catch(complain);
  });
  effect(() => {
    images.value; // another page may have kept a mask, or taken it back
    void forgetSheets((one) => !unsaved(`keep:${one.name}`) && isKept(one.name) !== (one.source.value === "kept"));
  });
  effect(() => {
    if (view.value !== "review" || queue.value.length === 0) return;
    const name = reviewed.value;
    if (name === null || !images.value?.index.has(name)) go("review", queue.peek().find((one) => !isKept(one)) ?? queue.peek()[0]);
    else if (sheet.peek()?.name !== name) void show(name);
  });
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && flushNow());
  window.addEventListener("pagehide", flushNow);
  window.addEventListener("beforeunload", flushNow);
}
