/**
 * Everything that the page saves goes through here: in order, kept in the browser until the server has it, and sent
 * again after the server was away. An entry with a key replaces an older one of the same key that still waits.
 */

export interface Entry {
  id: number;
  key: string;
  method: "POST" | "PUT" | "DELETE";
  url: string;
  type: string;
  body: Uint8Array<ArrayBuffer> | null;
  /** Version of what the entry changes, and of the draft that a kept mask ends: they may have become others meanwhile. */
  base?: string;
  draftBase?: string;
}

export interface Store {
  load(): Promise<Entry[]>;
  put(entry: Entry): Promise<void>;
  remove(id: number): Promise<void>;
}

/** What became of a request: taken, refused for good, or to be sent again. */
export type Outcome = "sent" | "refused" | "again";

export interface Options {
  send(entry: Entry): Promise<Outcome>;
  store: Store;
  onChange(waiting: number, isAway: boolean): void;
  /** Waits before another try, in milliseconds. */
  pauses?: readonly number[];
}

export class Outbox {
  private queue: Entry[] = [];
  private inFlight: Entry | null = null;
  private last = Date.now();
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private settled: (() => void)[] = [];

  constructor(private readonly options: Options) {}

  /** Entries of an earlier visit; they are sent first. */
  async restore(): Promise<number> {
    const found = await this.options.store.load().catch(() => []);
    const known = new Set(this.queue.map((one) => one.key));
    const older = found.filter((one) => one.key === "" || !known.has(one.key));
    this.queue.unshift(...older.sort((a, b) => a.id - b.id));
    this.last = Math.max(this.last, ...older.map((one) => one.id));
    this.changed();
    void this.pump();
    return older.length;
  }

  get waiting(): number {
    return this.queue.length + (this.inFlight ? 1 : 0);
  }

  get isAway(): boolean {
    return this.failures > 0;
  }

  /** The entry of a key that is not with the server yet. */
  find(key: string): Entry | null {
    return [...this.queue].reverse().find((one) => one.key === key) ?? (this.inFlight?.key === key ? this.inFlight : null);
  }

  /** What waits was made from our own change, which has become this version with the server. */
  rebase(isOf: (entry: Entry) => boolean, change: Pick<Entry, "base"> | Pick<Entry, "draftBase">): void {
    for (const one of this.queue.filter(isOf)) {
      Object.assign(one, change);
      void this.options.store.put(one).catch(() => undefined);
    }
  }

  add(entry: Omit<Entry, "id">): void {
    if (entry.key !== "") {
      for (const old of this.queue.filter((one) => one.key === entry.key)) void this.forget(old.id);
      this.queue = this.queue.filter((one) => one.key !== entry.key);
    }
    const made = { ...entry, id: (this.last = Math.max(this.last + 1, Date.now())) };
    this.queue.push(made);
    void this.options.store.put(made).catch(() => undefined);
    this.changed();
    void this.pump();
  }

  /** Send now what waits, without the pause after a failure. */
  retry(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    void this.pump();
  }

  /** Resolves when nothing waits. */
  drained(): Promise<void> {
    return this.waiting === 0 ? Promise.resolve() : new Promise((resolve) => this.settled.push(resolve));
  }

  private async pump(): Promise<void> {
    if (this.inFlight || this.timer || this.queue.length === 0) return;
    const entry = this.queue.shift() as Entry;
    this.inFlight = entry;
    let outcome: Outcome;
    try {
      outcome = await this.options.send(entry);
    } catch {
      outcome = "again";
    }
    this.inFlight = null;
    if (outcome === "again") {
      const newer = entry.key !== "" && this.queue.some((one) => one.key === entry.key);
      if (newer) void this.forget(entry.id);
      else this.queue.unshift(entry);
      const pauses = this.options.pauses ?? [1000, 2000, 4000, 8000];
      const pause = pauses[Math.min(this.failures, pauses.length - 1)];
      this.failures++;
      this.timer = setTimeout(() => {
        this.timer = null;
        void this.pump();
      }, pause);
    } else {
      this.failures = 0;
      void this.forget(entry.id);
    }
    this.changed();
    void this.pump();
  }

  private async forget(id: number): Promise<void> {
    await this.options.store.remove(id).catch(() => undefined);
  }

  private changed(): void {
    this.options.onChange(this.waiting, this.isAway);
    if (this.waiting === 0) for (const resolve of this.settled.splice(0)) resolve();
  }
}
