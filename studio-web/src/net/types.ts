/** Answers of the server. */

export interface ClassFacts {
  name: string;
  colour: string;
  key: string;
  present: number;
  absent: number;
}

export interface ProjectFacts {
  name: string;
  folder: string;
  classes: ClassFacts[];
  images: number;
  tagged: number;
  kept: number;
  run: string | null;
  runs: string[];
  read_only: boolean;
  version: string;
  left_out?: unknown;
}

export interface ImageFacts {
  names: string[];
  present: number[][];
  absent: number[][];
  state: string[];
  mask: number[];
  uncertainty: (number | null)[];
  corrupt: string[];
}

export interface SuggestionFacts {
  state: "none" | "features" | "ready" | "stale" | "failed";
  done: number;
  total: number;
  message: string;
  order: string[];
  /** Of each class; null where a class cannot be judged yet. */
  probs: Record<string, (number | null)[]>;
}

export type Light = "green" | "amber" | "red";

export interface Verdict {
  colour: Light;
  text?: string;
  classes: { name: string; light: Light; reason: string }[];
  findings?: { light: Light; what: string; remedy: string }[];
}

export interface TrainFacts {
  state: "idle" | "preparing" | "first-masks" | "training" | "writing" | "done" | "stopped" | "failed";
  run: string | null;
  /** What is counted now, with how many are done of how many. */
  what?: string | null;
  done?: number;
  total?: number;
  epoch: number | null;
  epochs: number | null;
  seconds_left: number | null;
  images_per_second: number | null;
  first_masks: number;
  /** Images of first masks, without suffix. */
  first_names?: string[];
  stopping?: boolean;
  can_resume?: boolean;
  presets?: string[];
  log: string[];
  verdict: Verdict | null;
  error: string | null;
}

export interface MissingFacts {
  state: "idle" | "running" | "done" | "stopped" | "failed";
  missing: number;
  done: number;
  total: number;
  error: string | null;
}

export interface QueueFacts {
  order: string[];
  kept: string[];
}

export interface StepFacts {
  caption: string;
  url: string;
}

export interface CorrectionFacts {
  state?: "none" | "computing" | "ready";
  corrected: number;
  compared?: number;
  done?: number;
  before: number | null;
  after: number | null;
  /** 95 % of the difference. */
  interval: [number, number] | null;
  interval_before?: [number, number] | null;
  interval_after?: [number, number] | null;
  note: string;
}
