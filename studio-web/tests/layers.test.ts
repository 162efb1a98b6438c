import { describe, expect, it } from "vitest";
import { PatchHistory } from "../src/logic/history";
import { colourise, colourTable, histogram, isPainted, merge, mergeInto } from "../src/logic/layers";

describe("layers", () => {
  const layer = Uint8Array.from([255, 0, 2, 255]);
  const below = Uint8Array.from([1, 1, 1, 0]);

  it("painting covers the mask below, background included", () => {
    expect([...merge(layer, below)]).toEqual([1, 0, 2, 0]);
    expect(isPainted(layer)).toBe(true);
    for (const [length, at] of [[4, 0], [7, 6], [9, 3]]) {
      const blank = new Uint8Array(length + 1).fill(255);
      for (const part of [blank.subarray(0, length), blank.subarray(1)]) {
        expect(isPainted(part)).toBe(false);
        part[at] = 0;
        expect(isPainted(part)).toBe(true);
        part[at] = 255;
      }
    }
  });

  it("a rectangle alone is merged again", () => {
    const merged = new Uint8Array(4).fill(9);
    mergeInto(merged, layer, below, 2, { x0: 1, y0: 0, x1: 2, y1: 2 });
    expect([...merged]).toEqual([9, 0, 9, 0]);
  });

  it("refuses masks of other sizes", () => {
    expect(() => merge(layer, new Uint8Array(3))).toThrow("4 pixels over a mask of 3");
  });

  it("counts and colours", () => {
    expect(histogram(merge(layer, below)).slice(0, 3)).toEqual(Uint32Array.from([2, 1, 1]));
    const table = colourTable(["#102030", "#ff0000"]);
    const rgba = colourise(Uint8Array.from([0, 1, 2, 255]), 4, { x0: 0, y0: 0, x1: 4, y1: 1 }, table);
    expect([...rgba.slice(0, 12)]).toEqual([0, 0, 0, 0, 16, 32, 48, 255, 255, 0, 0, 255]);
    expect(colourTable(["#102030", "#ff0000"], 1)[2]).toBe(0);
  });

  it("undecided pixels are hatched: no plain colour that a class could have", () => {
    const table = colourTable(["#ffffff"]);
    const rgba = new Uint32Array(colourise(new Uint8Array(64).fill(255), 8, { x0: 0, y0: 0, x1: 8, y1: 8 }, table).buffer);
    expect(new Set(rgba).size).toBe(2);
    expect(new Set(new Uint32Array(colourise(new Uint8Array(64).fill(255), 8, { x0: 0, y0: 0, x1: 8, y1: 8 }, colourTable(["#ffffff"], 1)).buffer))).toEqual(new Set([0]));
  });
});

describe("history", () => {
  const size = { width: 150, height: 100 };

  function draw(history: PatchHistory, layer: Uint8Array, x: number, y: number, value: number): boolean {
    history.begin();
    history.touch({ x0: x, y0: y, x1: x + 10, y1: y + 1 });
    layer.fill(value, y * size.width + x, y * size.width + x + 10);
    return history.commit();
  }

  it("takes back and repeats, across blocks", () => {
    const layer = new Uint8Array(size.width * size.height).fill(255);
    const history = new PatchHistory(layer, size);
    const states = [layer.slice()];
    for (const [x, y, value] of [
      [60, 10, 1],
      [60, 10, 2],
      [140, 99, 3],
      [0, 64, 0],
    ]) {
      expect(draw(history, layer, x, y, value)).toBe(true);
      states.push(layer.slice());
    }
    for (let i = 3; i >= 0; i--) {
      expect(history.undo()).not.toBeNull();
      expect(layer).toEqual(states[i]);
    }
    expect(history.canUndo).toBe(false);
    expect(history.undo()).toBeNull();
    for (let i = 1; i <= 4; i++) {
      history.redo();
      expect(layer).toEqual(states[i]);
    }
    expect(history.redo()).toBeNull();
  });

  it("an open change can be given up", () => {
    const layer = new Uint8Array(size.width * size.height);
    const history = new PatchHistory(layer, size);
    history.begin();
    history.touch({ x0: 0, y0: 0, x1: 5, y1: 5 });
    layer[3] = 7;
    expect(history.cancel()).toEqual({ x0: 0, y0: 0, x1: 64, y1: 64 });
    expect([layer[3], history.canUndo, history.cancel()]).toEqual([0, false, null]);
  });

  it("says which pixels an undo changed", () => {
    const layer = new Uint8Array(size.width * size.height);
    const history = new PatchHistory(layer, size);
    draw(history, layer, 60, 10, 1);
    expect(history.undo()).toEqual({ x0: 0, y0: 0, x1: 128, y1: 64 });
  });

  it("keeps no change that changed nothing", () => {
    const layer = new Uint8Array(size.width * size.height);
    const history = new PatchHistory(layer, size);
    expect(draw(history, layer, 5, 5, 0)).toBe(false);
    expect(history.canUndo).toBe(false);
  });

  it("a new change ends redo", () => {
    const layer = new Uint8Array(size.width * size.height);
    const history = new PatchHistory(layer, size);
    draw(history, layer, 5, 5, 1);
    history.undo();
    draw(history, layer, 5, 6, 1);
    expect(history.canRedo).toBe(false);
  });

  it("drops the oldest changes beyond its memory", () => {
    const layer = new Uint8Array(size.width * size.height);
    const history = new PatchHistory(layer, size, 3 * 64 * 64);
    for (let i = 1; i <= 6; i++) draw(history, layer, 5, 5, i);
    let steps = 0;
    while (history.undo()) steps++;
    expect(steps).toBe(3);
    expect(layer[5 * size.width + 5]).toBe(3);
  });
});
