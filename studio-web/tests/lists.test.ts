import { describe, expect, it } from "vitest";
import { gridLayout, inSight, scrollTo } from "../src/logic/grid";
import * as selection from "../src/logic/selection";
import { ABSENT, confirm, corrected, PRESENT, rest, shown, TagHistory, TagTable, toggle, UNKNOWN, type Filter } from "../src/logic/tags";
import { duration } from "../src/logic/time";
import { fit, hold, toImage, toScreen, zoomAt } from "../src/logic/view";

describe("grid", () => {
  const layout = gridLayout({ count: 10_000, width: 1000, least: 180, gap: 10, caption: 40, ratio: 0.75 });

  it("fills the width", () => {
    expect(layout.columns).toBe(5);
    expect(layout.columns * layout.tile + 4 * 10).toBeLessThanOrEqual(1000);
    expect(layout.rows).toBe(2000);
  });

  it("draws the rows in sight and a few more", () => {
    const [first, last] = inSight(layout, 10_000, 50 * layout.row, 3 * layout.row, 2);
    expect([first, last]).toEqual([48 * 5, 55 * 5]);
    expect(inSight(layout, 10_000, 0, 100, 2)[0]).toBe(0);
    expect(inSight(layout, 10_000, layout.height, 800, 2)[1]).toBe(10_000);
  });

  it("has one column where it is narrow, and none drawn where it is empty", () => {
    expect(gridLayout({ count: 3, width: 100, least: 180, gap: 10, caption: 0, ratio: 1 }).columns).toBe(1);
    const none = gridLayout({ count: 0, width: 800, least: 180, gap: 10, caption: 0, ratio: 1 });
    expect(inSight(none, 0, 0, 500)).toEqual([0, 0]);
  });

  it("scrolls as little as needed", () => {
    expect(scrollTo(layout, 7, 0, 1000)).toBe(0);
    expect(scrollTo(layout, 500, 0, 2 * layout.row)).toBe(99 * layout.row);
    expect(scrollTo(layout, 0, 900, 500)).toBe(0);
  });
});

describe("tags", () => {
  it("a key sets, sets again to unknown, and shift sets absent", () => {
    const table = new TagTable(3, 1);
    const put = (changes: ReturnType<typeof toggle>): void => changes.forEach((c) => table.set(c.image, c.cls, c.after));
    put(toggle(table, [0, 1], 0, PRESENT));
    expect([0, 1, 2].map((i) => table.get(i, 0))).toEqual([PRESENT, PRESENT, UNKNOWN]);
    put(toggle(table, [0, 1, 2], 0, PRESENT)); // mixed: all get it
    expect(table.get(2, 0)).toBe(PRESENT);
    put(toggle(table, [0, 1, 2], 0, PRESENT));
    expect(table.isTagged(0)).toBe(false);
    put(toggle(table, [0], 4, ABSENT)); // a class that came later
    expect([table.get(0, 4), table.get(0, 0), table.classes]).toEqual([ABSENT, UNKNOWN, 5]);
    expect(table.having(0, ABSENT)).toEqual([4]);
  });

  it("confirming leaves known tags as they are", () => {
    const table = new TagTable(1, 3);
    table.set(0, 1, ABSENT);
    expect(confirm(table, 0, [0.9, 0.99, 0.2]).map((c) => [c.cls, c.after])).toEqual([
      [0, PRESENT],
      [2, ABSENT],
    ]);
  });

  it("no other class: what is not known becomes absent", () => {
    const table = new TagTable(3, 3);
    table.set(0, 1, PRESENT);
    table.set(2, 0, ABSENT);
    expect([0, 1, 2].map((image) => table.isOpen(image, 3))).toEqual([true, false, false]);
    for (const one of rest(table, [0], 3)) table.set(one.image, one.cls, one.after);
    expect([0, 1, 2].map((cls) => table.get(0, cls))).toEqual([ABSENT, PRESENT, ABSENT]);
    expect(rest(table, [0], 3)).toEqual([]);
    expect(table.isOpen(0, 3)).toBe(false);
  });

  it("a key corrects a suggestion, whichever way it was wrong, and again takes that back", () => {
    const table = new TagTable(1, 2);
    expect(corrected(table, 0, 0, 0.9).after).toBe(ABSENT);
    expect(corrected(table, 0, 0, 0.1).after).toBe(PRESENT);
    expect(corrected(table, 0, 1, null).after).toBe(PRESENT);
    table.set(0, 0, ABSENT);
    expect(corrected(table, 0, 0, 0.9).after).toBe(PRESENT);
  });

  it("history takes back what was changed and nothing else", () => {
    const history = new TagHistory();
    history.add([{ image: 1, cls: 0, before: UNKNOWN, after: PRESENT }]);
    history.add([]);
    expect(history.undo()).toEqual([{ image: 1, cls: 0, before: PRESENT, after: UNKNOWN }]);
    expect(history.canUndo).toBe(false);
    expect(history.redo()).toHaveLength(1);
  });

  it("filter by name, state and class; least certain first", () => {
    const tags = new TagTable(4, 2);
    tags.set(1, 0, PRESENT);
    tags.set(2, 0, ABSENT);
    const facts = {
      names: ["a/Cat.jpg", "b.jpg", "cat2.jpg", "d.jpg"],
      tags,
      mask: [0, 3, 1, 0],
      corrupt: new Set(["d.jpg"]),
      rank: new Map([
        ["d.jpg", 0],
        ["a/Cat.jpg", 1],
      ]),
    };
    const filter: Filter = { text: "", state: "all", cls: null, value: PRESENT, order: "name" };
    expect(shown(facts, { ...filter, text: "CAT" })).toEqual([0, 2]);
    expect(shown(facts, { ...filter, state: "untagged" })).toEqual([0, 3]);
    expect(shown(facts, { ...filter, state: "kept" })).toEqual([1]);
    expect(shown(facts, { ...filter, state: "damaged" })).toEqual([3]);
    expect(shown(facts, { ...filter, cls: 0, value: ABSENT })).toEqual([2]);
    expect(shown(facts, { ...filter, order: "uncertain" })).toEqual([3, 0, 1, 2]);
    expect(shown(facts, { ...filter, state: "suggested" })).toEqual([0, 3]);
  });
});

describe("selection", () => {
  const list = [4, 8, 15, 16, 23];

  it("ranges follow the order shown, from the anchor", () => {
    const first = selection.only(8);
    const range = selection.extend(first, 23, list);
    expect([...range.items]).toEqual([8, 15, 16, 23]);
    expect([...selection.extend(range, 4, list).items]).toEqual([4, 8]);
  });

  it("keys move and stop at the ends", () => {
    expect(selection.move(selection.NOTHING, 1, list, false).cursor).toBe(4);
    expect(selection.move(selection.only(16), 5, list, false).cursor).toBe(23);
    expect([...selection.move(selection.only(16), -1, list, true).items]).toEqual([15, 16]);
    expect(selection.move(selection.only(1), 1, [], false)).toBe(selection.NOTHING);
  });

  it("flips one, takes all, and falls back to the cursor", () => {
    expect([...selection.flip(selection.only(4), 8).items]).toEqual([4, 8]);
    expect(selection.targets(selection.flip(selection.only(4), 4))).toEqual([4]);
    expect(selection.all(selection.NOTHING, list).items.size).toBe(5);
  });
});

describe("view", () => {
  const image = { width: 500, height: 375 };
  const frame = { width: 1000, height: 1000 };

  it("fits and centres", () => {
    const view = fit(image, frame, 0);
    expect(view).toEqual({ scale: 2, x: 0, y: 125 });
    expect(toScreen(view, toImage(view, { x: 17, y: 30 }))).toEqual({ x: 17, y: 30 });
  });

  it("zoom keeps the point under the pointer", () => {
    const at = { x: 400, y: 500 };
    const view = fit(image, frame, 0);
    const before = toImage(view, at);
    const after = toImage(zoomAt(view, at, 3, image, frame), at);
    expect(after.x).toBeCloseTo(before.x);
    expect(after.y).toBeCloseTo(before.y);
  });

  it("never loses the image out of sight, nor shrinks it to nothing", () => {
    const view = hold({ scale: 1, x: -9999, y: 9999 }, image, frame);
    expect(view.x + image.width).toBeGreaterThan(0);
    expect(view.y).toBeLessThan(frame.height);
    expect(zoomAt(fit(image, frame), { x: 0, y: 0 }, 1e-9, image, frame).scale).toBeGreaterThan(0.4);
  });
});

it("durations", () => {
  expect([duration(0.2), duration(59), duration(61), duration(3660 * 2)]).toEqual(["1 s", "59 s", "1 min", "2 h 2 min"]);
});
