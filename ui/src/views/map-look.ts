/** What of the map is looked at: which edges the legend leaves, how wide they are, what nodes are called. Pure. */

import type { MapEdge, MapNode, ServiceMap } from "../core/types";

export type Weight = "calls" | "bytes" | "errors" | "latency";
export type Change = NonNullable<MapEdge["change"]>;

export const WEIGHTS: readonly Weight[] = ["calls", "bytes", "errors", "latency"];
export const CHANGES: readonly Change[] = ["new", "gone", "changed", "same"];
const WIDEST = 6; // px

/** What the legend hides. */
export interface Hidden {
  readonly protocols: ReadonlySet<string>;
  readonly changes: ReadonlySet<Change>;
}
export const NOTHING: Hidden = { protocols: new Set(), changes: new Set() };

export function flip<T>(set: ReadonlySet<T>, value: T): ReadonlySet<T> {
  const next = new Set(set);
  if (!next.delete(value)) next.add(value);
  return next;
}

/** Protocols of an edge, those with most calls first. */
export function protocolsOf(edge: MapEdge): string[] {
  return Object.entries(edge.protocols).sort((a, b) => b[1] - a[1]).map(([name]) => name);
}

/** Protocols of the map with their calls, the most first. */
export function legend(map: ServiceMap): readonly (readonly [string, number])[] {
  const calls = new Map<string, number>();
  for (const edge of map.edges) for (const [name, number] of Object.entries(edge.protocols)) calls.set(name, (calls.get(name) ?? 0) + number);
  return [...calls].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

/** Which edges are shown, by their place in the hub's list. */
export function shownEdges(map: ServiceMap, hidden: Hidden): readonly boolean[] {
  return map.edges.map((edge) => Object.keys(edge.protocols).some((name) => !hidden.protocols.has(name)) && !(edge.change && hidden.changes.has(edge.change)));
}

function amount(edge: MapEdge, by: Weight): number {
  const most = (each: { calls: number; bytes: number; errors: number; latency_us: Readonly<Record<string, number>> }): number => (by === "latency" ? (each.latency_us["p50"] ?? 0) : each[by]);
  return Math.max(most(edge), edge.before ? most(edge.before) : 0); // what is gone has the width it had
}

/** Widths in px, on a logarithm: a thousand calls are not a thousand times as wide. */
export function widths(map: ServiceMap, by: Weight): readonly number[] {
  const amounts = map.edges.map((edge) => amount(edge, by));
  const most = Math.log1p(Math.max(1, ...amounts));
  return amounts.map((each) => 1 + (WIDEST - 1) * (Math.log1p(each) / most));
}

const LONGEST = 30;
/** What a node is called on the map: ends of names tell more than middles. */
export function title(node: MapNode): string {
  const name = node.name || node.id;
  return name.length <= LONGEST ? name : `${name.slice(0, 17)}…${name.slice(-12)}`;
}
