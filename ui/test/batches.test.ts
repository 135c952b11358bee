import { describe, expect, it } from "vitest";
import { BadBatch, Dictionaries, decodeBatch, numberAt, textAt } from "../src/core/batches";
import { Rows } from "../src/core/rows";
import { type Spec, encode } from "./batch-maker";

const IDS = { name: "id", type: "text", values: ["20261123T133240Z-vm-a-0001-21-0", "20261123T133240Z-vm-a-0001-7-12", "x-1-2"] } as const;
const texts = (data: ArrayBuffer, name: string, known = new Dictionaries()): string[] => {
  const { columns, count } = decodeBatch(data, known);
  const column = columns.get(name);
  return column ? Array.from({ length: count }, (_, i) => textAt(column, i)) : [];
};

describe("a batch", () => {
  it("gives back ids, whatever dashes and digits are in them", () => {
    const strange = ["no dashes", "a-01-2", "a-1-99999999999", "", "ü-3-4", "a-4294967296-1"];
    expect(texts(encode(1, 1, [IDS]), "id")).toEqual(IDS.values);
    expect(texts(encode(1, 1, [{ name: "id", type: "text", values: strange }]), "id")).toEqual(strange);
  });

  it("keeps times to the microsecond and the other numbers", () => {
    const times = [1795440760210.873, 1795440760210.874, 1795440999999.125];
    const specs: Spec[] = [IDS, { name: "timestamp", type: "f64", values: times }, { name: "size", type: "u32", values: [1, 65535, 65536] }, { name: "error", type: "u8", values: [0, 1, 0] }, { name: "elapsed", type: "f64", values: [0.25, 0, 1e6] }];
    const { columns } = decodeBatch(encode(1, 1, specs), new Dictionaries());
    const values = (name: string): number[] => [0, 1, 2].map((i) => numberAt(columns.get(name) ?? expect.fail(name), i));
    values("timestamp").forEach((value, i) => expect(value).toBeCloseTo(times[i] ?? 0, 3));
    expect(values("size")).toEqual([1, 65535, 65536]);
    expect(values("error")).toEqual([0, 1, 0]);
    expect(values("elapsed")).toEqual([0.25, 0, 1e6]);
  });

  it("keeps times that are years apart", () => {
    const times = [0, 1795440760210.5];
    const { columns } = decodeBatch(encode(1, 1, [{ name: "timestamp", type: "f64", values: times }]), new Dictionaries());
    expect([0, 1].map((i) => numberAt(columns.get("timestamp") ?? expect.fail(), i))).toEqual(times);
  });

  it("grows the dictionary of its query, and may go on as text", () => {
    const known = new Dictionaries();
    expect(texts(encode(1, 1, [{ name: "p", type: "dict", strings: ["HTTP", "DNS"], values: [1, 0] }]), "p", known)).toEqual(["DNS", "HTTP"]);
    expect(texts(encode(1, 2, [{ name: "p", type: "dict", strings: ["TLS"], values: [2, 0] }]), "p", known)).toEqual(["TLS", "HTTP"]);
    expect(texts(encode(1, 3, [{ name: "p", type: "text", values: ["<b>", "é😀"] }]), "p", known)).toEqual(["<b>", "é😀"]);
  });

  it("keeps texts that come again once, and when there are too many packs their numbers, or their bytes", () => {
    const known = new Dictionaries();
    const column = (values: string[]) => decodeBatch(encode(1, 1, [{ name: "s", type: "text", values }]), known).columns.get("s") ?? expect.fail();
    const first = column(["/a", "/b", "/a"]);
    const again = column(["/b", "", "/ü"]);
    expect([first.kind, again.kind]).toEqual(["dict", "dict"]);
    expect([0, 1, 2].map((i) => textAt(again, i))).toEqual(["/b", "", "/ü"]);
    for (let k = 0; k < 33; k++) column(Array.from({ length: 2000 }, (_, i) => `${k}/${i}`));
    const late = column(["/1/a", "/2/a", "/33/a"]);
    expect([late.kind, textAt(late, 2), textAt(first, 2)]).toEqual(["packed", "/33/a", "/a"]);
    const odd = column(["x", "/a"]);
    expect([odd.kind, textAt(odd, 1), textAt(late, 1)]).toEqual(["text", "/a", "/2/a"]);
  });

  it("is refused wherever it is cut", () => {
    const whole = encode(1, 1, [IDS, { name: "p", type: "dict", strings: ["HTTP"], values: [0, 0, 0] }, { name: "n", type: "f64", values: [1, 2, 3] }]);
    for (let length = 0; length < whole.byteLength; length++) expect(() => decodeBatch(whole.slice(0, length), new Dictionaries()), String(length)).toThrow();
    expect(() => decodeBatch(whole, new Dictionaries())).not.toThrow();
  });

  it("is refused or read, never worse, whichever byte is wrong", () => {
    const whole = new Uint8Array(encode(1, 1, [IDS, { name: "p", type: "dict", strings: ["HTTP"], values: [0, 0, 0] }]));
    for (let at = 0; at < whole.length; at++) {
      const broken = whole.slice();
      broken[at] = 255;
      try {
        decodeBatch(broken.buffer, new Dictionaries());
      } catch (error) {
        expect(error).toBeInstanceOf(BadBatch);
      }
    }
  });
});

describe("rows", () => {
  const batch = (first: number, count: number) => decodeBatch(encode(1, 1, [{ name: "n", type: "u32", values: Array.from({ length: count }, (_, i) => first + i) }]), new Dictionaries());

  it("finds each row over batches of any size, in any order of asking", () => {
    const rows = new Rows();
    let at = 0;
    for (const size of [100, 2000, 1, 7, 2000]) rows.add(batch(at, size)), (at += size);
    expect(rows.count).toBe(4108);
    for (const row of [4107, 0, 99, 100, 2099, 2100, 2101, 2107, 2108, 50, 4000]) expect(rows.number(row, "n")).toBe(row);
    expect(rows.text(3, "nothing")).toBe("");
  });

  it("drops whole batches in front, and counts on behind them", () => {
    const rows = new Rows();
    for (const first of [0, 100, 200]) rows.add(batch(first, 100));
    expect(rows.trim(250)).toBe(100);
    expect(rows.count).toBe(200);
    expect([rows.number(0, "n"), rows.number(199, "n")]).toEqual([100, 299]);
    expect(rows.trim(1000)).toBe(0);
    rows.add(batch(300, 10));
    expect(rows.number(209, "n")).toBe(309);
  });

  it("holds a row of a list in at most 40 bytes", () => {
    const count = 2000;
    const numbers = Array.from({ length: count }, (_, i) => i);
    const dict = (name: string): Spec => ({ name, type: "dict", strings: numbers.slice(0, 50).map((i) => `10.0.0.${i}:80`), values: numbers.map((i) => i % 50) });
    const rows = new Rows();
    rows.add(decodeBatch(encode(1, 1, [
      { name: "id", type: "text", values: numbers.map((i) => `20261123T133240Z-vm-0001-${i}-0`) }, { name: "timestamp", type: "f64", values: numbers.map((i) => 1795440760210 + i) },
      ...["protocol", "method", "src", "dst", "summary"].map(dict), { name: "status", type: "u32", values: numbers.map(() => 200) },
      { name: "elapsed", type: "f64", values: numbers }, { name: "size", type: "u32", values: numbers.map((i) => i * 100) }, { name: "error", type: "u8", values: numbers.map(() => 0) },
    ]), new Dictionaries()));
    expect(rows.bytes / count).toBeLessThanOrEqual(40);
  });
});
