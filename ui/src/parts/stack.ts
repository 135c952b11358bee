/** Series of the timeline, stacked. Pure. */

import type { Histogram } from "../core/types";

export interface Layer {
  readonly name: string;
  readonly total: number;
  readonly tops: readonly number[]; // own count and those below
  readonly counts: readonly number[];
}

const SHOWN = 8;

/** The largest series, biggest at the bottom; the rest becomes "other". */
export function stack(histogram: Histogram): Layer[] {
  const sums = Object.entries(histogram.series).map(([name, counts]) => ({ name, counts: [...counts], total: counts.reduce((a, b) => a + b, 0) }));
  sums.sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1));
  const shown = sums.slice(0, SHOWN);
  const rest = sums.slice(SHOWN);
  if (rest.length) {
    const counts = (rest[0]?.counts ?? []).map((_, i) => rest.reduce((sum, each) => sum + (each.counts[i] ?? 0), 0));
    shown.push({ name: `other (${rest.length})`, counts, total: rest.reduce((sum, each) => sum + each.total, 0) });
  }
  const below: number[] = [];
  return shown.map(({ name, counts, total }) => {
    const tops = counts.map((value, i) => (below[i] = (below[i] ?? 0) + value));
    return { name, total, tops: [...tops], counts };
  });
}
