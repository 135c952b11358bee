import { describe, expect, it } from "vitest";
import type { MapEdge, ServiceMap } from "../src/core/types";
import { placeLabels } from "../src/views/map-labels";
import { layout } from "../src/views/map-layout";
import { NOTHING, flip, legend, shownEdges, title, widths } from "../src/views/map-look";

function edge(source: string, target: string, calls: number, protocols: Record<string, number>, more: Partial<MapEdge> = {}): MapEdge {
  return { source, target, calls, errors: 0, bytes: calls * 10, protocols, latency_us: {}, kfl: "", before: null, change: null, ...more };
}
function mapOf(edges: readonly MapEdge[]): ServiceMap {
  const ids = [...new Set(edges.flatMap((each) => [each.source, each.target]))];
  const nodes = ids.map((id) => ({ id, name: "", namespace: "", addresses: [id], calls_in: 1, calls_out: 1, kfl: "" }));
  return { nodes, edges, hidden_edges: 0, entries: 1, stopped: "", counted_until: "", before_entries: null };
}

describe("the legend", () => {
  const map = mapOf([edge("a", "b", 5, { HTTP: 4, DNS: 1 }), edge("b", "c", 2, { DNS: 2 }, { change: "gone" })]);
  it("adds up protocols", () => expect(legend(map)).toEqual([["HTTP", 4], ["DNS", 3]]));
  it("hides an edge when all of its protocols are hidden", () => {
    expect(shownEdges(map, NOTHING)).toEqual([true, true]);
    expect(shownEdges(map, { ...NOTHING, protocols: new Set(["DNS"]) })).toEqual([true, false]);
    expect(shownEdges(map, { ...NOTHING, changes: new Set(["gone"] as const) })).toEqual([true, false]);
    expect([...flip(flip(new Set(["x"]), "x"), "y")]).toEqual(["y"]);
  });
  it("keeps the width of what is gone", () => {
    const before = { calls: 100, errors: 0, bytes: 1, latency_us: {} };
    const [wide, narrow] = widths(mapOf([edge("a", "b", 0, { HTTP: 1 }, { change: "gone", before }), edge("b", "c", 1, { HTTP: 1 })]), "calls");
    expect(wide).toBeGreaterThan(narrow ?? 0);
  });
  it("cuts long names in their middle", () => {
    const node = mapOf([edge("a", "b", 1, {})]).nodes[0];
    expect(node && title({ ...node, name: `checkout-${"x".repeat(40)}-7f9c` })).toMatch(/^checkout-x+…x+-7f9c$/);
  });
});

describe("names of nodes", () => {
  const box = ({ x, y }: { x: number; y: number }, width: number): [number, number, number, number] => [x - width / 2, y - 7, x + width / 2, y + 7];
  it("never cover each other, and who comes first has a name", () => {
    const nodes = Array.from({ length: 400 }, (_, i) => ({ x: (i * 37) % 600, y: (i * 61) % 400, radius: 6, width: 60 + (i % 5) * 20 }));
    const labels = placeLabels(nodes, 14);
    expect(labels[0]?.at).toBe(0);
    expect(labels.length).toBeGreaterThan(20);
    const boxes = labels.map((label) => box(label, nodes[label.at]?.width ?? 0));
    boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => expect(a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]).toBe(false)));
  });
  it("stand above where there is no room below", () => {
    const [first, second] = placeLabels([{ x: 0, y: 0, radius: 5, width: 80 }, { x: 0, y: 24, radius: 5, width: 80 }], 14);
    expect([first?.y, second?.y].map((y) => Math.sign(y ?? 0))).toEqual([-1, 1]);
  });
});

describe("a frozen layout", () => {
  it("keeps places, and finds one for who is new", () => {
    const old = layout(mapOf([edge("a", "b", 1, { HTTP: 1 })]), 10);
    const places = new Map(old.nodes.map(({ id, x, y }) => [id, { x, y }]));
    const next = layout(mapOf([edge("a", "b", 9, { HTTP: 1 }), edge("b", "c", 1, { HTTP: 1 })]), 10, places);
    for (const { id, x, y } of next.nodes) if (places.has(id)) expect({ x, y }).toEqual(places.get(id));
    expect(next.nodes).toHaveLength(3);
  });
});
