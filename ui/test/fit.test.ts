import { describe, expect, it } from "vitest";
import { type ListColumn, columnWidths, fitting, mayBeCut, roomFor } from "../src/list/fit";

const column = (name: string, width: number): ListColumn => ({ name, title: name, width });
const USUAL = [column("timestamp", 116), column("protocol", 116), column("src", 156), column("dst", 156), column("summary", 0), column("size", 76)];
const sum = (widths: readonly number[]): number => widths.reduce((all, width) => all + width, 0);

describe("columns", () => {
  it("fill the list to its edge", () => {
    for (const viewPx of [980, 1200, 1425]) expect(sum(columnWidths(USUAL, viewPx))).toBe(viewPx - 8);
    expect(columnWidths(USUAL, 1200)).toEqual([116, 116, 156, 156, 572, 76]);
  });
  it("shrink but for the time", () => {
    const widths = columnWidths(USUAL, 840);
    expect(widths[0]).toBe(116);
    expect(widths[2]).toBeLessThan(156);
    expect(widths[2]).toBeGreaterThanOrEqual(148);
    expect(sum(widths)).toBeLessThanOrEqual(832);
  });
  it("keep their width where none fills, and never vanish", () => {
    expect(columnWidths([column("timestamp", 100), column("src", 50)], 1000)).toEqual([100, 50]);
    expect(columnWidths(USUAL, 300)[4]).toBe(120);
    expect(columnWidths([], 300)).toEqual([]);
  });
  it("give way in a narrow list, the least telling first", () => {
    expect(fitting(USUAL, 1200)).toEqual(USUAL);
    expect(fitting(USUAL, 760).map(({ name }) => name)).toEqual(["timestamp", "protocol", "src", "dst", "summary"]);
    expect(fitting(USUAL, 420).map(({ name }) => name)).toEqual(["timestamp", "protocol", "summary"]);
    expect(fitting(USUAL, 0)).toEqual(USUAL); // not laid out yet
  });
});

describe("texts that are too long", () => {
  it("are those with more characters than a cell has room for", () => {
    expect(roomFor("src", 156, 7.2)).toBe(20);
    expect(mayBeCut("x".repeat(20), 20)).toBe(false);
    expect(mayBeCut("x".repeat(21), 20)).toBe(true);
    expect(roomFor("status", 64, 7.2)).toBe(5);
    expect(roomFor("src", 4, 7.2)).toBeLessThan(0);
    expect(mayBeCut("", roomFor("src", 4, 7.2))).toBe(true);
  });
  it("may be those of characters that are wider than others", () => {
    for (const text of ["漢", "\u{1f988}", "\ufdfd", "\t"]) expect(mayBeCut(text, 100)).toBe(true);
    for (const text of ["1.2 µs", "GET /é"]) expect(mayBeCut(text, 100)).toBe(false);
  });
  it("are sooner those of a protocol, whose letters are wider", () => expect(roomFor("protocol", 156, 7.2)).toBeLessThan(roomFor("method", 156, 7.2) - 5));
});
