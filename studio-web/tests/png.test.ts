import { zlibSync } from "fflate";
import { describe, expect, it } from "vitest";
import { decodeGrey, encodeGrey, encodeGreyNow } from "../src/logic/png";

const bytes = (text: string): Uint8Array => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

function noise(length: number): Uint8Array {
  let seed = 1;
  return Uint8Array.from({ length }, () => (seed = (seed * 16807) % 2147483647) & 255);
}

/** A file with given bits, colour type and raw rows, filter bytes included. */
function file(width: number, height: number, bits: number, colour: number, raw: number[]): Uint8Array {
  const made = encodeGreyNow(width, height, new Uint8Array(width * height));
  const header = made.slice(0, 33);
  header[24] = bits;
  header[25] = colour;
  const body = zlibSync(Uint8Array.from(raw));
  const length = [body.length >> 24, (body.length >> 16) & 255, (body.length >> 8) & 255, body.length & 255];
  return Uint8Array.from([...header, ...length, 73, 68, 65, 84, ...body, 0, 0, 0, 0, ...made.slice(-12)]);
}

describe("PNG", () => {
  it("comes back bit for bit", async () => {
    const data = noise(37 * 21);
    for (const made of [encodeGreyNow(37, 21, data), await encodeGrey(37, 21, data)]) {
      expect(decodeGrey(made)).toEqual({ width: 37, height: 21, data });
    }
  });

  it("reads a file that Pillow wrote", () => {
    // Image.fromarray(np.array([[0, 1, 2], [253, 254, 255]], np.uint8)).save(..., "png")
    const pillow = bytes(
      "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAAAAAC4HznGAAAAEElEQVR4nGNkYGRk/MvICAADGQEEnGoNgQAAAABJRU5ErkJggg==",
    );
    expect([...decodeGrey(pillow).data]).toEqual([0, 1, 2, 253, 254, 255]);
  });

  it("undoes every filter", () => {
    const raw = [0, 1, 2, 3, 1, 10, 1, 1, 2, 1, 1, 1, 3, 5, 5, 5, 4, 1, 1, 1];
    const expected = [1, 2, 3, 10, 11, 12, 11, 12, 13, 10, 16, 19, 11, 17, 20];
    expect([...decodeGrey(file(3, 5, 8, 0, raw)).data]).toEqual(expected);
  });

  it("reads 16 bits, few bits, and the indices of a palette", () => {
    expect([...decodeGrey(file(2, 1, 16, 0, [0, 1, 0, 255, 255])).data]).toEqual([256, 65535]);
    expect([...decodeGrey(file(5, 1, 4, 3, [0, 0x12, 0x3f, 0x40])).data]).toEqual([1, 2, 3, 15, 4]);
    expect([...decodeGrey(file(9, 1, 1, 0, [0, 0b10100000, 0b10000000])).data]).toEqual([1, 0, 1, 0, 0, 0, 0, 0, 1]);
  });

  it("says what is wrong with a file", () => {
    const whole = encodeGreyNow(8, 8, noise(64));
    expect(() => decodeGrey(whole.slice(0, 60))).toThrow("cut off");
    expect(() => decodeGrey(Uint8Array.from([1, 2, 3]))).toThrow("not a PNG");
    expect(() => decodeGrey(file(1, 1, 8, 2, [0, 1, 2, 3]))).toThrow("grey");
  });
});
