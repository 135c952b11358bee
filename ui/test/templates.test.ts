import { describe, expect, it } from "vitest";
import { Templates, packedText } from "../src/core/templates";

function through(texts: readonly string[], templates = new Templates()): readonly string[] | null {
  const column = templates.pack(texts.length, (i) => texts[i] ?? "");
  return column && texts.map((_, i) => packedText(column, i));
}

describe("texts that differ in numbers", () => {
  it("come back letter for letter", () => {
    const odd = ["", "0", "007", "/a/1", "/a/127", "/a/128", "/a/999999999", "/a/4294967296", "12345678901234567890", "1.5e3", "ä1ö2", "٣4", "-1"];
    const texts = [...odd, ...odd, ...odd];
    expect(through(texts)).toEqual(texts);
    const paths = Array.from({ length: 5_000 }, (_, i) => `/api/v1/orders/${(i * 7_919) % 1_000_003}?page=${i % 3}`);
    const templates = new Templates();
    expect(through(paths, templates)).toEqual(paths);
    expect(templates.list).toHaveLength(1);
  });
  it("take a third of their bytes", () => {
    const paths = Array.from({ length: 2_000 }, (_, i) => `/api/v1/orders/${i * 7_919}?page=${i % 3}`);
    const column = new Templates().pack(paths.length, (i) => paths[i] ?? "");
    const held = (column?.numbers.byteLength ?? 0) + (column?.starts.byteLength ?? 0) + (column?.template.byteLength ?? 0);
    expect(held).toBeLessThan(paths.join("").length / 3);
  });
  it("are given up where each has a form of its own, or one that cannot be told apart", () => {
    const hashes = Array.from({ length: 100 }, (_, i) => `${String.fromCharCode(97 + (i % 26), 97 + (i % 7), 97 + (i % 11))}x`);
    const templates = new Templates();
    expect(through(hashes, templates)).toBeNull();
    expect(templates.isGivenUp).toBe(true);
    expect(through(["a\0b", "a\0b", "a\0b"])).toBeNull();
  });
});
