import { describe, expect, it } from "vitest";
import { nextBrush, strokeSpans } from "../src/logic/brush";
import type { Point, Size } from "../src/logic/geometry";
import { borderLines } from "../src/logic/outline";
import { polygonSpans } from "../src/logic/polygon";
import { allSpans, floodSpans, regionSpans } from "../src/logic/region";

/** Draw spans as text, so that a test shows what it expects. */
function drawn(size: Size, draw: (span: (y: number, x0: number, x1: number) => void) => void): string[] {
  const rows = Array.from({ length: size.height }, () => Array<string>(size.width).fill("."));
  draw((y, x0, x1) => rows[y].fill("#", x0, x1));
  return rows.map((row) => row.join(""));
}

const SIX = { width: 6, height: 6 };

describe("brush", () => {
  const stroke = (a: Point, b: Point, diameter: number): string[] => drawn(SIX, (s) => strokeSpans(a, b, diameter, SIX, s));

  it("of one pixel paints the pixel under the pointer, wherever in it that is", () => {
    expect(stroke({ x: 2.95, y: 1.05 }, { x: 2.95, y: 1.05 }, 1)[1]).toBe("..#...");
  });

  it("is round", () => {
    expect(stroke({ x: 3, y: 3 }, { x: 3, y: 3 }, 4)).toEqual(["......", "..##..", ".####.", ".####.", "..##..", "......"]);
  });

  it("leaves no gap on a steep quick stroke", () => {
    const rows = stroke({ x: 0.5, y: 0.5 }, { x: 2.5, y: 5.5 }, 1);
    expect(rows.every((row) => row.includes("#"))).toBe(true);
  });

  it("stays inside the image", () => {
    expect(stroke({ x: -3, y: -3 }, { x: -3, y: -3 }, 2).join("")).not.toContain("#");
    expect(stroke({ x: 0, y: 0 }, { x: 6, y: 0 }, 3)[0]).toBe("######");
  });

  it("grows by a sixth and stays between its limits", () => {
    expect([nextBrush(1, -1), nextBrush(1, 1), nextBrush(60, 1), nextBrush(400, 1)]).toEqual([1, 2, 70, 400]);
  });
});

describe("polygon", () => {
  it("takes the pixels whose centres lie inside", () => {
    const square = [
      { x: 1, y: 1 },
      { x: 4.4, y: 1 },
      { x: 4.4, y: 3 },
      { x: 1, y: 3 },
    ];
    expect(drawn(SIX, (s) => polygonSpans(square, SIX, s)).slice(0, 4)).toEqual(["......", ".###..", ".###..", "......"]);
  });

  it("has a hole where it crosses itself", () => {
    const size = { width: 10, height: 10 };
    const star = [0, 2, 4, 1, 3].map((k) => ({
      x: 5 + 5 * Math.sin((k * 2 * Math.PI) / 5),
      y: 5 - 5 * Math.cos((k * 2 * Math.PI) / 5),
    }));
    expect(drawn(size, (s) => polygonSpans(star, size, s))[5][5]).toBe(".");
  });

  it("of two corners is nothing", () => {
    expect(drawn(SIX, (s) => polygonSpans([{ x: 0, y: 0 }, { x: 6, y: 6 }], SIX, s)).join("")).not.toContain("#");
  });
});

describe("regions", () => {
  const map = ["110001", "010111", "010100", "011100", "000001", "111111"];
  const values = map.join("").split("").map(Number);

  it("flood fill takes neighbours by side, around corners, and not by corner", () => {
    expect(drawn(SIX, (s) => floodSpans({ x: 0.5, y: 0.5 }, SIX, values, s))).toEqual([
      "##...#",
      ".#.###",
      ".#.#..",
      ".###..",
      "......",
      "......",
    ]);
  });

  it("agree with a plain search on random maps", () => {
    let seed = 7;
    const random = (): number => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
    const size = { width: 23, height: 17 };
    for (let round = 0; round < 20; round++) {
      const noise = Array.from({ length: 23 * 17 }, () => (random() < 0.6 ? 1 : 0));
      noise[200] = 1;
      const expected = new Set([200]);
      const open = [200];
      while (open.length > 0) {
        const i = open.pop() as number;
        const x = i % 23;
        for (const j of [x > 0 ? i - 1 : -1, x < 22 ? i + 1 : -1, i - 23, i + 23]) {
          if (noise[j] === 1 && !expected.has(j)) {
            expected.add(j);
            open.push(j);
          }
        }
      }
      const found = new Set<number>();
      regionSpans({ x: 200 % 23, y: Math.floor(200 / 23) }, size, (i) => noise[i] === 1, (y, x0, x1) => {
        for (let x = x0; x < x1; x++) found.add(y * 23 + x);
      });
      expect([...found].sort()).toEqual([...expected].sort());
    }
  });

  it("all pixels above a threshold", () => {
    expect(drawn(SIX, (s) => allSpans(SIX, (i) => values[i] === 1, s))).toEqual(
      map.map((row) => row.replaceAll("1", "#").replaceAll("0", ".")),
    );
  });
});

describe("outline", () => {
  const mask = Uint8Array.from("000000011200011200000000".split("").map(Number));
  const size = { width: 6, height: 4 };

  it("joins borders to long lines and leaves the image's edge out", () => {
    const lines = borderLines(mask, size, { x0: 0, y0: 0, x1: 6, y1: 4 });
    expect(lines.slice(0, 8)).toEqual([1, 1, 4, 1, 1, 3, 4, 3]);
    expect(lines.slice(8)).toEqual([1, 1, 1, 3, 3, 1, 3, 3, 4, 1, 4, 3]);
  });

  it("of one class", () => {
    const lines = borderLines(mask, size, { x0: 0, y0: 0, x1: 6, y1: 4 }, 2);
    expect(lines).toEqual([3, 1, 4, 1, 3, 3, 4, 3, 3, 1, 3, 3, 4, 1, 4, 3]);
  });

  it("of tiles has the length of the whole", () => {
    const length = (lines: number[]): number => lines.reduce((sum, v, i) => sum + (i % 4 < 2 ? -v : v), 0);
    let tiles = 0;
    for (const x of [0, 2, 4]) for (const y of [0, 2]) tiles += length(borderLines(mask, size, { x0: x, y0: y, x1: x + 2, y1: y + 2 }));
    expect(tiles).toBe(length(borderLines(mask, size, { x0: 0, y0: 0, x1: 6, y1: 4 })));
  });
});
