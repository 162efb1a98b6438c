/** Images without a mask of the chosen run, such as untagged ones: predicted in the background on request. */

import { effect, signal } from "@preact/signals";
import { getJson, send } from "../net/api";
import type { MissingFacts } from "../net/types";
import { complain, project, run } from "./app";
import { onNews } from "./saving";

export const missing = signal<MissingFacts | null>(null);

const POLL_MS = 1000;
let timer: ReturnType<typeof setTimeout> | null = null;

export async function loadMissing(): Promise<void> {
  missing.value = await getJson<MissingFacts>("/api/predictions");
  if (timer) clearTimeout(timer);
  timer = missing.value.state === "running" ? setTimeout(() => void loadMissing().catch(complain), POLL_MS) : null;
}

export async function predictMissing(isStart: boolean): Promise<void> {
  try {
    await send(isStart ? "POST" : "DELETE", "/api/predictions");
    await loadMissing();
  } catch (error) {
    complain(error);
  }
}

export function followMissing(): void {
  effect(() => {
    if (run.value !== null && project.value) void loadMissing().catch(() => undefined);
  });
  onNews((news) => {
    if (news.type === "masks" || news.type === "open") void loadMissing().catch(() => undefined);
  });
}
