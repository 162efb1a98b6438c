/** What every view shares: the project, its images and tags, messages, the open view, colours of light and dark. */

import { computed, signal } from "@preact/signals";
import { TagTable, ABSENT, PRESENT } from "../logic/tags";
import { ApiError, getJson } from "../net/api";
import type { ImageFacts, ProjectFacts } from "../net/types";

export const VIEWS = ["tag", "train", "review", "export"] as const;
export type ViewName = (typeof VIEWS)[number];

export interface Images {
  names: string[];
  index: Map<string, number>;
  tags: TagTable;
  mask: number[];
  uncertainty: (number | null)[];
  corrupt: Set<string>;
}

export const project = signal<ProjectFacts | null>(null);
export const images = signal<Images | null>(null);
/** Counts changes of tags: views that show them read it. */
export const tagTick = signal(0);
export const loadError = signal<string | null>(null);
export const waiting = signal(0);
export const view = signal<ViewName>("tag");
/** Image that the review shows. */
export const reviewed = signal<string | null>(null);
export const isHelpOpen = signal(false);

/** Name of the run whose masks are shown. */
export const run = computed(() => project.value?.run ?? null);
export const classes = computed(() => project.value?.classes ?? []);
export const taggedCount = computed(() => {
  tagTick.value;
  const all = images.value;
  if (!all) return 0;
  let count = 0;
  for (let i = 0; i < all.names.length; i++) if (all.tags.isTagged(i)) count++;
  return count;
});
/** Images in which each class is present, or absent. */
export const classCounts = computed(() => {
  tagTick.value;
  const all = images.value;
  return classes.value.map((_, cls) => {
    let present = 0;
    let absent = 0;
    if (all) {
      for (let i = 0; i < all.names.length; i++) {
        const value = all.tags.get(i, cls);
        if (value === PRESENT) present++;
        else if (value === ABSENT) absent++;
      }
    }
    return { present, absent };
  });
});
export const keptCount = computed(() => images.value?.mask.filter((one) => one === 3).length ?? 0);

/* Messages ------------------------------------------------------------------------------------------------------- */

export interface Toast {
  id: number;
  kind: "note" | "error";
  text: string;
  remedy: string | null;
}

export const toasts = signal<Toast[]>([]);
let lastToast = 0;

export function tell(text: string, kind: Toast["kind"] = "note", remedy: string | null = null): void {
  const id = ++lastToast;
  toasts.value = [...toasts.value.filter((one) => one.text !== text).slice(-3), { id, kind, text, remedy }];
  if (kind === "note") setTimeout(() => dismiss(id), 4000);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

/** Show an error; that the server is away is shown by the banner. */
export function complain(error: unknown): void {
  if ((error as Error).name === "AbortError" || (error instanceof ApiError && error.status === 0)) return;
  const remedy = error instanceof ApiError ? error.remedy : null;
  tell(error instanceof Error ? error.message : String(error), "error", remedy);
}

/* Loading -------------------------------------------------------------------------------------------------------- */

export async function loadProject(): Promise<void> {
  project.value = await getJson<ProjectFacts>("/api/project");
}

/**
 * Load names, tags and states of all images.
 * @param isCurrent asked when they have come: false where something was changed meanwhile, and they are not taken
 */
export async function loadImages(isCurrent: () => boolean = () => true): Promise<void> {
  const facts = await getJson<ImageFacts>("/api/images");
  if (!isCurrent()) return;
  const tags = new TagTable(facts.names.length, Math.max(1, classes.value.length));
  facts.present.forEach((found, i) => found.forEach((cls) => tags.set(i, cls, PRESENT)));
  facts.absent.forEach((found, i) => found.forEach((cls) => tags.set(i, cls, ABSENT)));
  images.value = {
    names: facts.names,
    index: new Map(facts.names.map((name, i) => [name, i])),
    tags,
    mask: facts.mask,
    uncertainty: facts.uncertainty,
    corrupt: new Set(facts.corrupt),
  };
  tagTick.value++;
}

export async function loadAll(): Promise<void> {
  try {
    await loadProject();
    await loadImages();
    loadError.value = null;
  } catch (error) {
    loadError.value = (error as Error).message;
  }
}

/** Note that the mask of an image is predicted (1), painted on (2) or kept (3). */
export function noteMask(name: string, state: number): void {
  const all = images.value;
  const index = all?.index.get(name);
  if (!all || index === undefined || all.mask[index] === state) return;
  const mask = all.mask.slice();
  mask[index] = state;
  images.value = { ...all, mask };
}

/* The open view, as the address's fragment ----------------------------------------------------------------------- */

export function readAddress(): void {
  const [name, ...rest] = location.hash.slice(1).split("/");
  // The image first: the review would open another one.
  if (name === "review" && rest.length > 0) reviewed.value = decodeURIComponent(rest.join("/"));
  view.value = VIEWS.find((one) => one === name) ?? "tag";
}

export function go(to: ViewName, name?: string): void {
  if (name !== undefined) reviewed.value = name;
  const address = to === "review" && reviewed.value ? `#review/${encodeURIComponent(reviewed.value)}` : `#${to}`;
  if (location.hash !== address) history[view.value === to ? "replaceState" : "pushState"](null, "", address);
  view.value = to;
}

/* Light and dark ------------------------------------------------------------------------------------------------- */

export type Theme = "auto" | "light" | "dark";

const readTheme = (): Theme => {
  try {
    const found = localStorage.getItem("tag2mask-theme");
    return found === "light" || found === "dark" ? found : "auto";
  } catch {
    return "auto"; // the browser keeps nothing for this page
  }
};

export const theme = signal<Theme>(readTheme());

export function setTheme(to: Theme): void {
  theme.value = to;
  document.documentElement.dataset.theme = to;
  try {
    localStorage.setItem("tag2mask-theme", to);
  } catch {
    return;
  }
}
