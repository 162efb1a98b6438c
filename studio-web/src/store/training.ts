/** Training: its state, starting, stopping, going on; what corrections brought. */

import { computed, signal } from "@preact/signals";
import { getJson, send } from "../net/api";
import type { CorrectionFacts, TrainFacts } from "../net/types";
import { complain, images, loadProject, project, tagTick } from "./app";
import { drained, onNews } from "./saving";
import { markRest } from "./tagging";

export interface Recipe {
  preset: string;
  backbone: string;
  epochs: string;
}

export const recipe = signal<Recipe>({ preset: "auto", backbone: "", epochs: "" });
/** Whether images in which nothing is marked absent are taken as tagged completely. */
export const isRestAbsent = signal(true);

/** Tagged images in which nothing is marked absent, though classes are open: most people name what there is. */
export const openImages = computed(() => {
  tagTick.value;
  const all = images.value;
  const count = project.value?.classes.length ?? 0;
  if (!all) return [];
  return all.names.flatMap((_, i) => (all.tags.isOpen(i, count) ? [i] : []));
});

const recipeKey = (): string => `tag2mask-recipe:${project.value?.folder ?? ""}`;

/** The recipe that was trained last in this browser, so that corrections are learned with the same. */
function recallRecipe(): void {
  try {
    recipe.value = { ...recipe.value, ...(JSON.parse(localStorage.getItem(recipeKey()) ?? "{}") as Partial<Recipe>) };
  } catch {
    return; // the browser keeps nothing for this page
  }
}

function rememberRecipe(): void {
  try {
    localStorage.setItem(recipeKey(), JSON.stringify(recipe.value));
  } catch {
    return;
  }
}
export const training = signal<TrainFacts | null>(null);
export const corrections = signal<CorrectionFacts | null>(null);
/** Counts news of masks, so that pictures of first masks are loaded again. */
export const maskTick = signal(0);

const BUSY = ["preparing", "first-masks", "training", "writing"];
export const isBusy = computed(() => BUSY.includes(training.value?.state ?? "idle"));

export async function loadTraining(): Promise<void> {
  const before = training.value?.state;
  training.value = await getJson<TrainFacts>("/api/train");
  if (before !== undefined && before !== training.value.state) {
    maskTick.value++;
    await loadProject();
    if (training.value.state === "done") await loadCorrections();
  }
}

export async function loadCorrections(): Promise<void> {
  corrections.value = await getJson<CorrectionFacts>("/api/corrections");
}

/** Start a run, or go on with one that was stopped. */
export async function start(resume: string | null = null): Promise<void> {
  const { preset, backbone, epochs } = recipe.value;
  const body: Record<string, unknown> = { preset, corrected: true };
  if (resume) body.run = resume; // with the settings it began with
  else {
    if (backbone.trim()) body.backbone = backbone.trim();
    if (epochs) body.epochs = Number(epochs);
    rememberRecipe();
    if (isRestAbsent.value) markRest(openImages.value);
  }
  try {
    await drained();
    await send("POST", "/api/train", body);
    await loadTraining();
  } catch (error) {
    complain(error);
  }
}

export async function stop(): Promise<void> {
  try {
    await send("POST", "/api/train/stop");
    await loadTraining();
  } catch (error) {
    complain(error);
  }
}

/** Images whose first masks are shown: those of the server, else tagged ones. */
export const firstNames = computed(() => {
  const facts = training.value;
  const all = images.value;
  if (!facts || !all || facts.first_masks === 0) return [];
  if (facts.first_names) {
    const stems = new Map(all.names.map((name) => [name.replace(/\.[^./]*$/, ""), name]));
    return facts.first_names.flatMap((name) => stems.get(name) ?? (all.index.has(name) ? name : []));
  }
  return all.names.filter((_, i) => all.tags.isTagged(i)).slice(0, 24);
});

export function followTraining(): void {
  recallRecipe();
  let timer: ReturnType<typeof setTimeout> | null = null;
  const load = (): void => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = null;
      void loadTraining().catch(complain);
    }, 200);
  };
  onNews((news) => {
    if (news.type === "training" || news.type === "open") load();
    if (news.type === "masks") {
      maskTick.value++;
      if (corrections.value) void loadCorrections().catch(complain);
    }
  });
  void loadTraining().catch(() => undefined);
  setInterval(() => isBusy.value && load(), 5000);
}
