import { describe, expect, it } from "vitest";
import { Outbox, type Entry, type Outcome, type Store } from "../src/net/outbox";

class Memory implements Store {
  entries = new Map<number, Entry>();
  load = async (): Promise<Entry[]> => [...this.entries.values()];
  put = async (entry: Entry): Promise<void> => void this.entries.set(entry.id, entry);
  remove = async (id: number): Promise<void> => void this.entries.delete(id);
}

const entry = (url: string, key = ""): Omit<Entry, "id"> => ({ key, method: "PUT", url, type: "text/plain", body: null });

function outbox(store: Store, answer: (url: string) => Outcome): { box: Outbox; sent: string[]; away: boolean[] } {
  const sent: string[] = [];
  const away: boolean[] = [];
  const box = new Outbox({
    store,
    pauses: [1],
    onChange: (_, isAway) => away.push(isAway),
    send: async (one) => {
      const outcome = answer(one.url);
      if (outcome === "sent") sent.push(one.url);
      return outcome;
    },
  });
  return { box, sent, away };
}

describe("outbox", () => {
  it("sends in order and forgets what was taken", async () => {
    const store = new Memory();
    const { box, sent } = outbox(store, () => "sent");
    for (const url of ["a", "b", "c"]) box.add(entry(url));
    await box.drained();
    expect(sent).toEqual(["a", "b", "c"]);
    expect(store.entries.size).toBe(0);
  });

  it("tries again until the server is back, and loses nothing", async () => {
    let isBack = false;
    const { box, sent, away } = outbox(new Memory(), () => (isBack ? "sent" : "again"));
    box.add(entry("a"));
    box.add(entry("b"));
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect([sent, box.isAway, box.waiting]).toEqual([[], true, 2]);
    isBack = true;
    await box.drained();
    expect(sent).toEqual(["a", "b"]);
    expect(away.at(-1)).toBe(false);
  });

  it("a newer draft replaces the one that waits, an older one is never sent after it", async () => {
    let answers: Outcome[] = ["again"];
    const store = new Memory();
    const { box, sent } = outbox(store, () => answers.shift() ?? "sent");
    box.add(entry("old", "draft:x"));
    box.add(entry("other"));
    box.add(entry("new", "draft:x"));
    expect(box.find("draft:x")?.url).toBe("new");
    answers = ["again"];
    await box.drained();
    expect(sent).toEqual(["other", "new"]);
    expect(store.entries.size).toBe(0);
  });

  it("what waits is made from the version that the one before it has become, also after the page was killed", async () => {
    const store = new Memory();
    const bases: (string | undefined)[] = [];
    const box: Outbox = new Outbox({
      store,
      onChange: () => undefined,
      send: async (one) => {
        bases.push(one.base);
        await Promise.resolve(); // the answer comes later
        box.rebase((other) => other.key === one.key, { base: "second" });
        if (bases.length === 1) expect([...store.entries.values()].map((other) => other.base)).toEqual(["first", "second"]);
        return "sent";
      },
    });
    box.add({ ...entry("a", "draft:x"), base: "first" });
    box.add({ ...entry("b", "draft:x"), base: "first" });
    await box.drained();
    expect(bases).toEqual(["first", "second"]);
  });

  it("what waits survives the page", async () => {
    const store = new Memory();
    outbox(store, () => "again").box.add(entry("a", "draft:x"));
    const later = outbox(store, () => "sent");
    expect(await later.box.restore()).toBe(1);
    await later.box.drained();
    expect(later.sent).toEqual(["a"]);
  });

  it("a refused entry does not hold up the others", async () => {
    const { box, sent } = outbox(new Memory(), (url) => (url === "bad" ? "refused" : "sent"));
    box.add(entry("bad"));
    box.add(entry("good"));
    await box.drained();
    expect(sent).toEqual(["good"]);
  });
});
