/** Where bars of the timeline stand, what is beside them, and how a time is made narrower. Pure; px, and ns after the timeline's start. */

import type { Span } from "../core/span";
import type { Timeline, TimelineBar } from "../core/types";

export const LANE_PX = 26;
export const LEAST_PX = 4; // of a bar: what is narrower cannot be hit
const NEAR_PX = 4;
const LEAST_NS = 1_000; // of a window: times are no finer
const FINEST_MS = 0.001; // numbers of today's milliseconds hold no less
const MARK_PX = 110; // between marks of the axis, at least

const DAY_S = 86_400;
const YEAR_S = 365.25 * DAY_S;
const CLOCK_S = [60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, ...[1, 2, 7, 14].map((days) => days * DAY_S), ...[1 / 12, 1 / 4, 1, 2, 5, 10, 50].map((years) => years * YEAR_S)];

/** A bar by its lane and its place in it; -1: the lane alone. */
export interface Spot {
  readonly lane: number;
  readonly bar: number;
}

export function barBox(bar: TimelineBar, span: number, plotPx: number): { x: number; width: number } {
  const x = Math.min(Math.max(0, (bar.first / span) * plotPx), plotPx - LEAST_PX);
  const end = Math.min(plotPx, (bar.last / span) * plotPx);
  return { x, width: Math.max(LEAST_PX, end - x) };
}

/** The bar of a lane at a place; of several the narrowest, since it lies above. -1: none. */
export function barAt(bars: readonly TimelineBar[], x: number, span: number, plotPx: number): number {
  let found = -1;
  let least = Infinity;
  bars.forEach((bar, i) => {
    const box = barBox(bar, span, plotPx);
    const away = Math.max(0, box.x - x, x - box.x - box.width);
    if (away <= NEAR_PX && box.width + away * plotPx < least) { least = box.width + away * plotPx; found = i; }
  });
  return found;
}

export function barOf(timeline: Timeline, spot: Spot | null): TimelineBar | null {
  return (spot && timeline.lanes[spot.lane]?.bars[spot.bar]) ?? null;
}

/** What an arrow key leads to: the next bar of the lane, or the bar of the next lane that is nearest in time. */
export function stepped(timeline: Timeline, at: Spot | null, key: string): Spot | null {
  const { lanes } = timeline;
  if (!lanes.length) return null;
  if (!at) return { lane: 0, bar: 0 };
  const last = (lane: number): number => (lanes[lane]?.bars.length ?? 0) - 1;
  const time = barOf(timeline, at)?.first ?? 0;
  const into = (lane: number): Spot => {
    const bars = lanes[lane]?.bars ?? [];
    let best = 0;
    bars.forEach((bar, i) => { if (Math.abs(bar.first - time) < Math.abs((bars[best]?.first ?? 0) - time)) best = i; });
    return { lane, bar: best };
  };
  switch (key) {
    case "ArrowRight": return { lane: at.lane, bar: Math.min(at.bar + 1, last(at.lane)) };
    case "ArrowLeft": return { lane: at.lane, bar: Math.max(0, at.bar - 1) };
    case "ArrowDown": return at.lane + 1 < lanes.length ? into(at.lane + 1) : at;
    case "ArrowUp": return at.lane > 0 ? into(at.lane - 1) : at;
    case "Home": return { lane: at.lane, bar: 0 };
    case "End": return { lane: at.lane, bar: last(at.lane) };
    default: return null;
  }
}

/** A part of the timeline as the address has it: its end is taken in. */
export function windowOf(timeline: Timeline, from: number, to: number): Span {
  const start = BigInt(timeline.start);
  const [low, high] = [Math.floor(Math.max(0, Math.min(from, to))), Math.ceil(Math.min(timeline.span - 1, Math.max(from, to)))];
  return { since: String(start + BigInt(low)), until: String(start + BigInt(Math.max(high, low + LEAST_NS))) };
}

/** Half as long, around a time. */
export function narrowed(timeline: Timeline, around: number): Span {
  const half = timeline.span / 4;
  const middle = Math.min(Math.max(around, half), timeline.span - half);
  return windowOf(timeline, middle - half, middle + half);
}

/** The time in which anything begins, with a little room; null: nothing does, or it is the whole already. */
export function fitted(timeline: Timeline): Span | null {
  const first = Math.min(...timeline.lanes.map((lane) => lane.first));
  const last = Math.max(...timeline.lanes.map((lane) => lane.last));
  const room = Math.max(LEAST_NS, (last - first) * 0.02);
  if (!(last >= first) || last - first + 2 * room > timeline.span * 0.9) return null;
  return windowOf(timeline, first - room, last + room);
}

/** Marks of the axis: at round distances, ms after 1970 and px. `step` is in seconds. */
export function marksOf(timeline: Timeline, plotPx: number): { step: number; marks: readonly { ms: number; x: number }[] } {
  const startMs = Number(BigInt(timeline.start) / 1_000n) / 1_000;
  const spanMs = timeline.span / 1e6;
  const least = Math.max(FINEST_MS, (spanMs * MARK_PX) / Math.max(MARK_PX, plotPx));
  const power = 10 ** Math.floor(Math.log10(least));
  const round = [1, 2, 5, 10].map((each) => each * power);
  const clock = CLOCK_S.map((each) => each * 1_000);
  const step = (least > 30_000 ? clock.find((each) => each >= least) : undefined) ?? round.find((each) => each >= least) ?? spanMs;
  const marks = [];
  for (let ms = Math.ceil(startMs / step) * step; ms <= startMs + spanMs && marks.length < 100; ms += step) marks.push({ ms, x: ((ms - startMs) / spanMs) * plotPx });
  return { step: step / 1_000, marks };
}
