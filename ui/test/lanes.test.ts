import { describe, expect, it } from "vitest";
import { timeLabel } from "../src/core/format";
import type { Timeline, TimelineBar } from "../src/core/types";
import { LEAST_PX, barAt, barBox, barOf, fitted, marksOf, narrowed, stepped, windowOf } from "../src/views/lanes-look";

const bar = (first: number, last: number, more: Partial<TimelineBar> = {}): TimelineBar => ({ first, last, entries: 1, errors: 0, protocol: "HTTP", id: `s-${first}-0`, ...more });
const START = 1_795_440_760_210_873_001n;

function timelineOf(lanes: readonly (readonly TimelineBar[])[], span = 1_000_000): Timeline {
  return {
    start: String(START), span, hidden_lanes: 0, hidden_entries: 0, entries: lanes.flat().length, stopped: "", counted_until: "",
    lanes: lanes.map((bars, i) => ({ name: `lane ${i}`, kfl: `lane${i}`, entries: bars.length, errors: 0, first: bars[0]?.first ?? 0, last: bars.at(-1)?.last ?? 0, bars })),
  };
}

describe("bars", () => {
  it("stand at their time, and can always be hit", () => {
    expect(barBox(bar(500_000, 750_000), 1_000_000, 800)).toEqual({ x: 400, width: 200 });
    expect(barBox(bar(0, 0), 1_000_000, 800)).toEqual({ x: 0, width: LEAST_PX });
    expect(barBox(bar(999_999, 5_000_000), 1_000_000, 800)).toEqual({ x: 800 - LEAST_PX, width: LEAST_PX });
    expect(barBox(bar(-10, 100_000), 1_000_000, 800)).toEqual({ x: 0, width: 80 });
  });
  it("are found where they are, the narrowest first", () => {
    const bars = [bar(0, 900_000), bar(500_000, 500_000)];
    expect(barAt(bars, 401, 1_000_000, 800)).toBe(1);
    expect(barAt(bars, 100, 1_000_000, 800)).toBe(0);
    expect(barAt(bars, 790, 1_000_000, 800)).toBe(-1);
    expect(barAt([], 1, 1_000_000, 800)).toBe(-1);
  });
  it("are walked by arrow keys", () => {
    const timeline = timelineOf([[bar(0, 1), bar(500, 501)], [bar(10, 11), bar(490, 500), bar(900, 901)]]);
    expect(stepped(timeline, null, "ArrowRight")).toEqual({ lane: 0, bar: 0 });
    expect(stepped(timeline, { lane: 0, bar: 1 }, "ArrowRight")).toEqual({ lane: 0, bar: 1 });
    expect(stepped(timeline, { lane: 0, bar: 1 }, "ArrowDown")).toEqual({ lane: 1, bar: 1 });
    expect(stepped(timeline, { lane: 1, bar: 0 }, "ArrowDown")).toEqual({ lane: 1, bar: 0 });
    expect(stepped(timeline, { lane: 1, bar: 0 }, "End")).toEqual({ lane: 1, bar: 2 });
    expect(stepped(timeline, { lane: 1, bar: -1 }, "ArrowLeft")).toEqual({ lane: 1, bar: 0 });
    expect(stepped(timeline, { lane: 0, bar: 0 }, "x")).toBeNull();
    expect(stepped(timelineOf([]), null, "ArrowDown")).toBeNull();
    expect(barOf(timeline, { lane: 9, bar: 0 })).toBeNull();
  });
});

describe("windows of time", () => {
  const timeline = timelineOf([[bar(400_000, 410_000)], [bar(450_000, 500_000)]]);
  it("keep every nanosecond", () => {
    expect(windowOf(timeline, 900_000, 100_000)).toEqual({ since: String(START + 100_000n), until: String(START + 900_000n) });
    expect(windowOf(timeline, -5, 5e9)).toEqual({ since: String(START), until: String(START + 999_999n) });
  });
  it("are never empty", () => {
    const { since, until } = windowOf(timeline, 7, 7);
    expect(BigInt(until) - BigInt(since)).toBe(1_000n);
  });
  it("are halved inside of what is shown", () => {
    expect(narrowed(timeline, 0)).toEqual(windowOf(timeline, 0, 500_000));
    expect(narrowed(timeline, 600_000)).toEqual(windowOf(timeline, 350_000, 850_000));
  });
  it("fit what happens", () => {
    expect(fitted(timeline)).toEqual(windowOf(timeline, 398_000, 502_000));
    expect(fitted(timelineOf([[bar(0, 999_000)]]))).toBeNull();
    expect(fitted(timelineOf([]))).toBeNull();
  });
});

describe("the axis", () => {
  it("has marks at round times, of whatever length", () => {
    for (const span of [2_000, 1e6, 3e9, 9e10, 6e12, 8e14, 3e16, 6e17]) {
      const { step, marks } = marksOf(timelineOf([], span), 1_000);
      expect(marks.length).toBeGreaterThan(1);
      expect(marks.length).toBeLessThan(12);
      const labels = marks.map(({ ms }) => timeLabel(ms, step, "utc"));
      expect(new Set(labels).size).toBe(labels.length);
      for (const { x } of marks) expect(x).toBeGreaterThanOrEqual(0);
    }
  });
});
