/** Places of the service map: forces until they rest, then fixed. */

import { type SimulationLinkDatum, type SimulationNodeDatum, forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY } from "d3-force";
import type { MapNode, ServiceMap } from "../core/types";

export interface Placed extends SimulationNodeDatum {
  readonly id: string;
  readonly radius: number;
  x: number;
  y: number;
}
export interface Drawn extends SimulationLinkDatum<Placed> {
  source: Placed;
  target: Placed;
  readonly index: number; // in the hub's list
}
export type Places = ReadonlyMap<string, { readonly x: number; readonly y: number }>;
export interface Layout {
  readonly nodes: readonly Placed[];
  readonly links: readonly Drawn[];
  readonly width: number;
  readonly height: number;
}

const radius = (node: MapNode): number => 5 + 2.2 * Math.log2(1 + Math.sqrt(node.calls_in + node.calls_out));

/** Most calls first; beyond `most` nodes the rest is left to the table. Nodes that have a place in `frozen` keep it. */
export function layout(map: ServiceMap, most: number, frozen: Places = new Map()): Layout {
  const busy = [...map.nodes].sort((a, b) => b.calls_in + b.calls_out - a.calls_in - a.calls_out).slice(0, most);
  const nodes: Placed[] = busy.map((node, i) => {
    // A spiral instead of chance: the same map looks the same each time.
    const angle = i * 2.39996;
    const away = 24 * Math.sqrt(i + 0.5);
    const kept = frozen.get(node.id);
    if (kept) return { id: node.id, radius: radius(node), x: kept.x, y: kept.y, fx: kept.x, fy: kept.y };
    return { id: node.id, radius: radius(node), x: away * Math.cos(angle), y: away * Math.sin(angle) };
  });
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const links: Drawn[] = [];
  map.edges.forEach((edge, index) => {
    const source = byId.get(edge.source);
    const target = byId.get(edge.target);
    if (source && target) links.push({ source, target, index });
  });
  const many = nodes.length > 400;
  const simulation = forceSimulation(nodes)
    .force("charge", forceManyBody<Placed>().strength(many ? -90 : -320).theta(1.1).distanceMax(700))
    .force("link", forceLink<Placed, Drawn>(links).distance(many ? 50 : 110).strength(0.25))
    .force("x", forceX<Placed>().strength(0.05))
    .force("y", forceY<Placed>().strength(0.08))
    .force("collide", forceCollide<Placed>().radius((node) => node.radius + (many ? 4 : 16)))
    .stop();
  simulation.tick(many ? 90 : 260);
  const xs = nodes.map((node) => node.x);
  const ys = nodes.map((node) => node.y);
  const span = (values: number[]): [number, number] => (values.length ? [Math.min(...values), Math.max(...values)] : [0, 0]);
  const [left, right] = span(xs);
  const [top, bottom] = span(ys);
  for (const node of frozen.size ? [] : nodes) {
    node.x -= (left + right) / 2;
    node.y -= (top + bottom) / 2;
  }
  return { nodes, links, width: right - left, height: bottom - top };
}
