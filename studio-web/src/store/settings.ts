/** Settings of the prediction of the open image. They change the mask below; the painting stays as it is. */

import { effect, signal } from "@preact/signals";
import { decodeGrey } from "../logic/png";
import { resized } from "../logic/layers";
import { ApiError, getJson, query, request } from "../net/api";
import type { StepFacts } from "../net/types";
import { complain, reviewed, run, view } from "./app";
import { sheet } from "./review";
import type { Source } from "./sheet";

export interface Crf {
  enabled: boolean;
  iterations: number;
  bilateral_weight: number;
  bilateral_xy: number;
  bilateral_rgb: number;
  gaussian_weight: number;
}

export interface Settings {
  gate: number;
  crf: Crf;
  /** Names of the classes that the image may have; null: what the network finds; "tagged": as the image is tagged. */
  tags: string[] | null | "tagged";
}

const STANDARD: Settings = {
  gate: 0.05,
  crf: { enabled: true, iterations: 10, bilateral_weight: 5, bilateral_xy: 50, bilateral_rgb: 10, gaussian_weight: 3 },
  tags: "tagged",
};

/** What the chosen run has. */
export const usual = signal<Settings>(STANDARD);
export const settings = signal<Settings>(STANDARD);
export const isPredicting = signal(false);
export const predictError = signal<string | null>(null);
export const steps = signal<StepFacts[] | null>(null);
export const areStepsOpen = signal(false);
export const areSettingsOpen = signal(false);
export const stepsError = signal<string | null>(null);

/** The mask below before settings were changed. */
let before: { name: string; mask: Uint8Array; source: Source } | null = null;
let timer: ReturnType<typeof setTimeout> | null = null;
let running: AbortController | null = null;

async function predict(): Promise<void> {
  const one = sheet.value;
  if (!one) return;
  running?.abort();
  running = new AbortController();
  isPredicting.value = true;
  try {
    const { gate, crf, tags } = settings.value;
    const response = await request("/api/predict", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name: one.name, gate, crf, ...(tags === "tagged" ? {} : { tags }) }),
      signal: running.signal,
    });
    const found = decodeGrey(new Uint8Array(await response.arrayBuffer()));
    if (sheet.value !== one) return;
    before ??= { name: one.name, mask: one.below, source: one.source.value };
    one.setBelow(resized(found.data as Uint8Array, found, one.size), "settings");
    predictError.value = null;
    isPredicting.value = false;
  } catch (error) {
    if ((error as Error).name === "AbortError") return;
    isPredicting.value = false;
    predictError.value = (error as Error).message;
  }
}

export function change(given: Partial<Omit<Settings, "crf">> & { crf?: Partial<Crf> }): void {
  settings.value = { ...settings.value, ...given, crf: { ...settings.value.crf, ...given.crf } };
  if (timer) clearTimeout(timer);
  timer = setTimeout(() => void predict(), 120);
}

/** Back to the mask that was there. */
export function reset(): void {
  if (timer) clearTimeout(timer);
  running?.abort();
  isPredicting.value = false;
  settings.value = usual.value;
  const one = sheet.value;
  if (one && before?.name === one.name) one.setBelow(before.mask, before.source);
  before = null;
}

async function loadSteps(name: string): Promise<void> {
  try {
    const found = (await getJson<{ steps: StepFacts[] }>(query("/api/steps", { name }))).steps;
    if (reviewed.value === name) steps.value = found;
  } catch (error) {
    if (error instanceof ApiError && error.status >= 400) stepsError.value = error.message;
    else complain(error);
  }
}

/* Settings belong to one image; steps are asked for while their panel is open. */
effect(() => {
  const one = sheet.value;
  if (one && before?.name !== one.name) {
    before = null;
    settings.value = usual.peek();
    predictError.value = null;
  }
});

effect(() => {
  if (run.value === null || view.value !== "review") return;
  // With the image, the server prepares what a changed setting needs of it.
  const name = areSettingsOpen.value ? sheet.value?.name : undefined;
  void getJson<Pick<Settings, "gate" | "crf">>(query("/api/settings", { name }))
    .then((found) => {
      const isUsual = settings.value === usual.value;
      usual.value = { gate: found.gate, crf: { ...STANDARD.crf, ...found.crf }, tags: "tagged" };
      if (isUsual) settings.value = usual.value;
    })
    .catch(() => undefined); // the run cannot be read; a change of settings says why
});

effect(() => {
  const one = sheet.value;
  steps.value = null;
  stepsError.value = null;
  if (one && areStepsOpen.value) void loadSteps(one.name);
});
