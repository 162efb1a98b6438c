/** Saving through the outbox, and news from the server. */

import { effect } from "@preact/signals";
import { BrowserStore } from "../net/idb";
import { errorOf, isAway } from "../net/api";
import { Outbox, type Entry, type Outcome } from "../net/outbox";
import { complain, loadImages, loadProject, project, tell, waiting } from "./app";

export type News = { type: "training" | "suggestions" | "masks" | "project" | "tags" | "drafts" | "joined" | "open" } & Record<string, unknown>;

const MOST_KEEPALIVE = 60_000; // browsers finish requests of a closed page up to 64 KiB

const listeners = new Set<(news: News) => void>();
let outbox: Outbox | null = null;
/** How many of our own changes of tags the server has not reported back; their news needs no loading. */
let ownTags = 0;
/** Counts what was saved: a list of images that was asked for before is old. */
let saves = 0;

/** Versions of drafts and kept masks that this page shows, by the keys of their entries: `draft:NAME`, `keep:NAME`. */
const versions = new Map<string, string>();

export const versionOf = (key: string): string | undefined => versions.get(key);
export function noteVersion(key: string, version: string | null | undefined): void {
  if (version) versions.set(key, version);
}

const nameOf = (entry: Entry): string => entry.key.slice(entry.key.indexOf(":") + 1);

/** The server has taken an entry: what it is now, and whether somebody else had changed the same. */
function taken(entry: Entry, answer: Headers): void {
  const { key } = entry;
  const version = answer.get("X-Version");
  if (key === "" || !version) return;
  versions.set(key, version);
  box().rebase((one) => one.key === key, { base: version });
  if (key.startsWith("draft:")) box().rebase((one) => one.key === `keep:${nameOf(entry)}`, { draftBase: version });
  if (answer.get("X-Joined")) {
    tell(`${nameOf(entry)} was painted elsewhere, too: both paintings are joined.`);
    hear({ type: "joined", name: nameOf(entry) });
  }
  if (answer.get("X-Not-Kept")) {
    tell(`Another mask of ${nameOf(entry)} was kept meanwhile, which stays; yours is a painting on it. Look at it again.`, "error");
    hear({ type: "joined", name: nameOf(entry) });
  }
}

async function deliver(entry: Entry): Promise<Outcome> {
  const headers: Record<string, string> = {};
  if (entry.base) headers["X-Base"] = entry.base;
  if (entry.draftBase) headers["X-Draft"] = entry.draftBase;
  const init: RequestInit = { method: entry.method, headers };
  if (entry.body) {
    init.body = entry.body;
    headers["Content-Type"] = entry.type;
    init.keepalive = entry.body.length < MOST_KEEPALIVE;
  }
  let response: Response;
  try {
    response = await fetch(entry.url, init);
  } catch {
    isAway.value = true;
    return "again";
  }
  if (response.status >= 500 || response.status === 401 || response.status === 429) return "again";
  isAway.value = false;
  if (response.ok) {
    taken(entry, response.headers);
    return "sent";
  }
  if (!(entry.method === "DELETE" && response.status === 404)) {
    complain(await errorOf(response));
    if (entry.url === "/api/tags") void loadImages().catch(complain);
  }
  return "refused";
}

/** Start saving for the project that is open; sends what an earlier visit could not. */
export async function startSaving(): Promise<void> {
  outbox = new Outbox({
    store: new BrowserStore(project.value?.folder ?? ""),
    send: deliver,
    onChange: (count) => (waiting.value = count),
  });
  await outbox.restore();
}

const box = (): Outbox => {
  if (!outbox) throw new Error("saving has not started");
  return outbox;
};

export function save(method: Entry["method"], url: string, body: Uint8Array<ArrayBuffer> | object | null, key = ""): void {
  const isBytes = body instanceof Uint8Array;
  const bytes = body === null ? null : isBytes ? body : (new TextEncoder().encode(JSON.stringify(body)) as Uint8Array<ArrayBuffer>);
  if (url === "/api/tags") ownTags++;
  saves++;
  const entry: Omit<Entry, "id"> = { key, method, url, type: isBytes ? "image/png" : "application/json", body: bytes };
  const base = versions.get(key);
  if (base) entry.base = base;
  const draft = key.startsWith("keep:") ? versions.get(`draft:${key.slice(5)}`) : undefined;
  if (draft) entry.draftBase = draft;
  box().add(entry);
}

export const unsaved = (key: string): Entry | null => outbox?.find(key) ?? null;
export const drained = (): Promise<void> => outbox?.drained() ?? Promise.resolve();

export function retry(): void {
  outbox?.retry();
  void fetch("/api/project").then(
    (response) => (isAway.value = !response.ok),
    () => (isAway.value = true),
  );
}

export function onNews(listener: (news: News) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Listen to the server; after it was away everything is loaded again. */
export function listen(): void {
  let wasAway = false;
  const source = new EventSource("/api/events");
  source.onopen = () => {
    isAway.value = false;
    outbox?.retry();
    if (wasAway) void drained().then(() => hear({ type: "open" }));
    wasAway = false;
  };
  source.onerror = () => {
    wasAway = true;
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
    setTimeout(() => wasAway && retry(), 1500);
  };
  source.onmessage = (event) => hear(JSON.parse(event.data as string) as News);
  const again = setInterval(() => {
    if (source.readyState === EventSource.CLOSED) clearInterval(again);
    else if (isAway.value) retry();
  }, 4000);
}

let imagesTimer: ReturnType<typeof setTimeout> | null = null;

/** Load images again, once for many news, and never while changes of ours wait. */
function refreshImages(): void {
  if (imagesTimer) clearTimeout(imagesTimer);
  imagesTimer = setTimeout(() => {
    if (waiting.value > 0) return refreshImages();
    const before = saves;
    const isCurrent = (): boolean => saves === before;
    void loadProject()
      .then(() => loadImages(isCurrent))
      .then(() => isCurrent() || refreshImages())
      .catch(complain);
  }, 400);
}

function hear(news: News): void {
  if (news.type === "open") ownTags = 0;
  if (news.type === "project" || news.type === "open" || news.type === "masks") refreshImages();
  if (news.type === "tags") {
    if (ownTags > 0) ownTags--;
    else refreshImages();
  }
  for (const listener of listeners) listener(news);
}

/** The browser asks before a page closes that has work which no one else has. */
effect(() => {
  const isAtRisk = waiting.value > 0 && isAway.value;
  if (typeof window === "undefined") return;
  window.onbeforeunload = isAtRisk ? (event) => event.preventDefault() : null;
});
