/** The view of tags: what is shown and selected, changes with undo, classes, suggestions. */

import { computed, effect, signal } from "@preact/signals";
import * as selecting from "../logic/selection";
import {
  confirm,
  corrected,
  PRESENT,
  rest,
  shown,
  TAG_WORDS,
  TagHistory,
  toggle,
  UNKNOWN,
  type Filter,
  type TagChange,
  type TagValue,
} from "../logic/tags";
import { counted } from "../logic/time";
import { getJson, send } from "../net/api";
import type { ClassFacts, SuggestionFacts } from "../net/types";
import { classes, complain, images, loadImages, loadProject, project, tagTick, tell } from "./app";
import { drained, onNews, save } from "./saving";

export const LEAST_TAGGED = 20;

export const filter = signal<Filter>({ text: "", state: "all", cls: null, value: PRESENT, order: "name" });
export const selection = signal<selecting.Selection>(selecting.NOTHING);
export const tileWidth = signal(176);
/** One image large, with its suggested tags, instead of the grid. */
export const isConfirming = signal(false);
export const suggestions = signal<SuggestionFacts | null>(null);

const history = new TagHistory();
const historyTick = signal(0);

export const canUndo = computed(() => (historyTick.value, history.canUndo));
export const canRedo = computed(() => (historyTick.value, history.canRedo));

const rank = computed(() => new Map((suggestions.value?.order ?? []).map((name, i) => [name, i])));

/**
 * Numbers of the images shown. Tags that change do not make an image vanish under the hand: the list is found again
 * when the filter, the images or the suggestions change, or on request.
 */
const listTick = signal(0);
export const list = computed(() => {
  listTick.value;
  const all = images.value;
  return all ? shown({ ...all, rank: rank.value }, filter.value) : [];
});

export function setFilter(change: Partial<Filter>): void {
  filter.value = { ...filter.value, ...change };
  listTick.value++;
  const { cursor } = selection.value;
  selection.value = list.value.includes(cursor) ? selecting.only(cursor) : selecting.NOTHING;
}

/* Changes -------------------------------------------------------------------------------------------------------- */

function apply(changes: readonly TagChange[]): void {
  const all = images.value;
  if (!all || changes.length === 0) return;
  for (const one of changes) all.tags.set(one.image, one.cls, one.after);
  save("POST", "/api/tags", {
    changes: changes.map((one) => ({ name: all.names[one.image], class: one.cls, value: TAG_WORDS[one.after] })),
  });
  tagTick.value++;
}

function change(changes: TagChange[]): void {
  history.add(changes);
  historyTick.value++;
  apply(changes);
}

/** What a key of a class does to the selection. */
export function press(cls: number, wanted: TagValue): void {
  const all = images.value;
  const found = selecting.targets(selection.value);
  if (!all || !classes.value[cls]) return;
  if (found.length === 0) return tell("Select an image first: click it, or use the arrow keys.");
  change(toggle(all.tags, found, cls, wanted));
  if (found.length > 1) tell(`${classes.value[cls].name}: ${counted(found.length, "image")} changed`);
}

/** In these images no other class is present. */
export function markRest(found: readonly number[]): void {
  const all = images.value;
  if (all && found.length > 0) change(rest(all.tags, found, classes.value.length));
}

/** The key that says so of the selection. */
export function pressRest(): void {
  const found = selecting.targets(selection.value);
  if (found.length === 0) return tell("Select an image first: click it, or use the arrow keys.");
  if (classes.value.length === 0) return;
  markRest(found);
  tell(found.length > 1 ? `No other class in ${counted(found.length, "image")}` : "No other class in this image");
}

/** What a key or a click does to a class while suggestions are confirmed. */
export function correct(cls: number): void {
  const all = images.value;
  const image = selection.value.cursor;
  if (all && image >= 0 && classes.value[cls]) change([corrected(all.tags, image, cls, probsOf(image)?.[cls] ?? null)]);
}

export function undo(): void {
  apply(history.undo());
  historyTick.value++;
}

export function redo(): void {
  apply(history.redo());
  historyTick.value++;
}

/** The value that all selected images share, or null. */
export function shared(cls: number): TagValue | null {
  const all = images.value;
  const found = selecting.targets(selection.value);
  if (!all || found.length === 0) return null;
  const first = all.tags.get(found[0], cls);
  return found.every((i) => all.tags.get(i, cls) === first) ? first : null;
}

/* Classes -------------------------------------------------------------------------------------------------------- */

/** Add a class and tag the selection with it. */
export async function addClass(name: string): Promise<boolean> {
  const there = classes.value.findIndex((one) => one.name.toLowerCase() === name.trim().toLowerCase());
  try {
    let index = there;
    if (there < 0) {
      await send("POST", "/api/classes", { name });
      await loadProject();
      index = classes.value.findIndex((one) => one.name.toLowerCase() === name.trim().toLowerCase());
      images.value?.tags.grow(classes.value.length);
    }
    if (index >= 0 && selecting.targets(selection.value).length > 0 && shared(index) !== PRESENT) press(index, PRESENT);
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

export async function changeClass(index: number, given: Partial<Pick<ClassFacts, "name" | "colour" | "key">>): Promise<boolean> {
  try {
    await send("PATCH", `/api/classes/${index}`, given);
    await loadProject();
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

/** Remove a class; null where it is in use and `force` was not given. */
export async function removeClass(index: number, force: boolean): Promise<string | null> {
  await drained();
  try {
    await send("DELETE", `/api/classes/${index}${force ? "?force=true" : ""}`);
  } catch (error) {
    if ((error as { status?: number }).status === 409 && !force) return (error as Error).message;
    complain(error);
    return null;
  }
  history.clear();
  historyTick.value++;
  await loadProject()
    .then(() => loadImages())
    .catch(complain);
  return null;
}

/* Suggestions ---------------------------------------------------------------------------------------------------- */

export const probsOf = (image: number): readonly (number | null)[] | null => {
  const all = images.value;
  return (all && suggestions.value?.probs[all.names[image]]) ?? null;
};

/** Classes that are suggested for an image: probable, and not known. */
export function suggested(image: number): number[] {
  const all = images.value;
  const probs = probsOf(image);
  if (!all || !probs) return [];
  return probs.flatMap((p, cls) => (p !== null && p >= 0.5 && all.tags.get(image, cls) === UNKNOWN ? [cls] : []));
}

export async function loadSuggestions(): Promise<void> {
  suggestions.value = await getJson<SuggestionFacts>("/api/suggestions");
}

export async function startSuggestions(): Promise<void> {
  try {
    await drained();
    await send("POST", "/api/suggestions");
    await loadSuggestions();
  } catch (error) {
    complain(error);
  }
}

/** Images whose suggestions nobody has looked at, least certain first. */
export const toConfirm = computed(() => {
  tagTick.value;
  const all = images.value;
  if (!all) return [];
  return (suggestions.value?.order ?? []).flatMap((name) => {
    const i = all.index.get(name);
    return i === undefined || all.tags.isTagged(i) || all.corrupt.has(name) ? [] : [i];
  });
});

/** Confirm the suggestions of the selected images; in the list of suggestions, go on to the next. */
export function confirmSelection(): void {
  const all = images.value;
  const found = selecting.targets(selection.value);
  const changes = found.flatMap((i) => confirm(all!.tags, i, probsOf(i) ?? []));
  if (!all) return;
  if (isConfirming.value) {
    const queue = toConfirm.value;
    const next = queue.find((i) => i !== found[0] && queue.indexOf(i) > queue.indexOf(found[0])) ?? queue.find((i) => i !== found[0]);
    change(changes);
    selection.value = next === undefined ? selection.value : selecting.only(next);
    if (next === undefined) isConfirming.value = false;
    return;
  }
  if (changes.length > 0) change(changes);
  if (found.length === 1) selection.value = selecting.move(selection.value, 1, list.value, false);
}

export function startConfirming(): void {
  const first = toConfirm.value[0];
  if (first === undefined) return tell("Nothing to confirm: every suggestion has been looked at.");
  selection.value = selecting.only(first);
  isConfirming.value = true;
}

let timer: ReturnType<typeof setTimeout> | null = null;

let names: readonly string[] = [];

/** Undo and selection go by numbers of images: they end when the folder's images are others. */
effect(() => {
  const now = images.value?.names ?? [];
  if (names.length > 0 && (now.length !== names.length || now.some((name, i) => name !== names[i]))) {
    history.clear();
    selection.value = selecting.NOTHING;
    isConfirming.value = false;
  }
  names = now;
});

/** Follow the suggestions while a project is open. */
export function followSuggestions(): void {
  const load = (): void => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = null;
      void loadSuggestions().catch(complain);
    }, 250);
  };
  onNews((news) => {
    if (news.type === "suggestions" || news.type === "open") load();
  });
  if (project.value) void loadSuggestions().catch(() => undefined);
}
