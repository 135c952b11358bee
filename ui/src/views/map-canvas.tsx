/** The service map on a canvas: pan, zoom, walk by arrow keys, an edge or a node becomes a filter. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { MapEdge, ServiceMap } from "../core/types";
import { map as text } from "../text/map";
import { type Drawn, type Layout, type Placed, type Places, layout } from "./map-layout";
import { type Weight, protocolsOf, title, widths } from "./map-look";
import { Painter, type Target } from "./map-paint";

export const MOST = 1_000; // nodes that are drawn

interface Properties {
  readonly map: ServiceMap;
  readonly shown: readonly boolean[];
  readonly weight: Weight;
  readonly isFrozen: boolean;
  readonly choose: (kfl: string) => void;
}

/** Where nodes were last: they stay there while the layout is frozen, also when one comes back to the view. */
let places: Places = new Map();

export function MapCanvas({ map, shown, weight, isFrozen, choose }: Properties) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const placed = useMemo<Layout>(() => {
    const made = layout(map, MOST, isFrozen ? places : new Map());
    places = new Map(made.nodes.map(({ id, x, y }) => [id, { x, y }]));
    return made;
  }, [map, isFrozen]);
  const [target, setTarget] = useState<Target>(null);
  const camera = useRef({ x: 0, y: 0, scale: 1, isFitted: false });
  const draw = useRef<() => void>(() => undefined);

  useEffect(() => {
    camera.current.isFitted = isFrozen && camera.current.isFitted;
    setTarget(null);
  }, [placed]);
  const scene = useMemo(() => ({ map, placed, shown, widths: widths(map, weight), titles: new Map(map.nodes.map((node) => [node.id, title(node)])) }), [map, placed, shown, weight]);
  const painter = useRef<Painter | null>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (canvas.current && context) painter.current = new Painter(canvas.current, context, scene);
  }, [scene]);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    let frame = 0;
    draw.current = () => { if (!frame) frame = requestAnimationFrame(() => { frame = 0; painter.current?.paint(camera.current, target); }); };
    draw.current();
    const size = new ResizeObserver(() => draw.current());
    size.observe(element);
    const root = new MutationObserver(() => draw.current());
    root.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      cancelAnimationFrame(frame);
      size.disconnect();
      root.disconnect();
    };
  }, [scene, target]);

  const at = (event: MouseEvent): { x: number; y: number } => {
    const box = event.currentTarget as HTMLElement;
    const { x, y, scale } = camera.current;
    return { x: (event.offsetX - box.clientWidth / 2) / scale - x, y: (event.offsetY - box.clientHeight / 2) / scale - y };
  };
  const visible = useMemo(() => {
    const links = placed.links.filter((link) => shown[link.index]);
    return { links, nodes: placed.nodes.filter((node) => links.some((link) => link.source === node || link.target === node)) };
  }, [placed, shown]);
  const hit = (event: MouseEvent): Target => {
    const point = at(event);
    for (const node of visible.nodes) if (Math.hypot(node.x - point.x, node.y - point.y) <= node.radius + 4) return { kind: "node", node };
    let best: Drawn | null = null;
    let nearest = 6 / camera.current.scale;
    for (const link of visible.links) {
      const distance = fromLine(point, link);
      if (distance < nearest) { nearest = distance; best = link; }
    }
    const edge = best && map.edges[best.index];
    return edge ? { kind: "edge", edge } : null;
  };
  const act = (what: Target): void => {
    if (what?.kind === "edge") choose(what.edge.kfl);
    else if (what) choose(map.nodes.find((each) => each.id === what.node.id)?.kfl ?? "");
  };
  const drag = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const walk = (event: KeyboardEvent): void => {
    const keys: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = keys[event.key];
    const now = target?.kind === "node" ? target.node : null;
    if (event.key === "Enter" && target) act(target);
    else if (event.key === "+" || event.key === "-") camera.current.scale *= event.key === "+" ? 1.2 : 1 / 1.2;
    else if (event.key === "0") camera.current.isFitted = false;
    else if (way && !event.altKey) {
      const best = ahead(visible.nodes, now, way);
      if (best) setTarget({ kind: "node", node: best });
    } else return;
    event.preventDefault();
    draw.current();
  };
  return (
    <div class="map-canvas">
      <canvas ref={canvas} tabIndex={0} role="img" aria-label={text.canvas(map.nodes.length, map.edges.length)}
        onKeyDown={walk}
        onPointerDown={(event) => { drag.current = { x: event.clientX, y: event.clientY, moved: false }; event.currentTarget.setPointerCapture(event.pointerId); }}
        onPointerMove={(event) => {
          const { current } = drag;
          if (current) {
            const { scale } = camera.current;
            if (Math.hypot(event.clientX - current.x, event.clientY - current.y) > 2 || current.moved) {
              camera.current.x += (event.clientX - current.x) / scale;
              camera.current.y += (event.clientY - current.y) / scale;
              drag.current = { x: event.clientX, y: event.clientY, moved: true };
              draw.current();
            }
          } else {
            const found = hit(event);
            if (!isSame(found, target)) setTarget(found);
          }
        }}
        onPointerUp={(event) => { const wasDrag = drag.current?.moved; drag.current = null; if (!wasDrag) act(hit(event)); }}
        onWheel={(event) => { event.preventDefault(); camera.current.scale = Math.min(6, Math.max(0.08, camera.current.scale * Math.exp(-event.deltaY / 500))); draw.current(); }} />
      <div class="map-tip" role="status" hidden={!target}>{target && <Tip target={target} map={map} />}</div>
    </div>
  );
}

function isSame(a: Target, b: Target): boolean {
  if (a?.kind === "node") return b?.kind === "node" && a.node === b.node;
  return a ? b?.kind === "edge" && a.edge === b.edge : b === null;
}

/** The nearest node in a direction; without one that is chosen, the first. */
function ahead(nodes: readonly Placed[], now: Placed | null, [dx, dy]: readonly [number, number]): Placed | null {
  if (!now) return nodes[0] ?? null;
  let best: Placed | null = null;
  let least = Infinity;
  for (const node of nodes) {
    const before = (node.x - now.x) * dx + (node.y - now.y) * dy;
    const aside = Math.abs((node.x - now.x) * dy) + Math.abs((node.y - now.y) * dx);
    if (node !== now && before > 0 && before + 2 * aside < least) { least = before + 2 * aside; best = node; }
  }
  return best;
}

const told = (edge: Pick<MapEdge, "calls" | "errors" | "bytes" | "latency_us">): string => text.amount(edge.calls, edge.errors, edge.bytes, edge.latency_us["p50"] ?? 0, edge.latency_us["p99"] ?? 0);

function Tip({ target, map }: { target: Exclude<Target, null>; map: ServiceMap }) {
  if (target.kind === "edge") {
    const { edge } = target;
    return <><b>{text.edge(edge.source, edge.target)}</b>{edge.change && <> <span class="badge">{text.changes[edge.change]}</span></>}<br />{protocolsOf(edge).join(", ")} · {told(edge)}{edge.before && <><br />{text.before(told(edge.before))}</>}<br /><span class="dim">{text.edgeHint}</span></>;
  }
  const node = map.nodes.find((each) => each.id === target.node.id);
  return <><b>{node?.name || target.node.id}</b>{node?.name ? ` ${node.id}` : ""}{node?.namespace ? text.inNamespace(node.namespace) : ""}<br />{text.inOut(node?.calls_in ?? 0, node?.calls_out ?? 0)}<br /><span class="dim">{text.nodeHint}</span></>;
}

function fromLine(point: { x: number; y: number }, link: Drawn): number {
  const { source: a, target: b } = link;
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const along = Math.min(1, Math.max(0, ((point.x - a.x) * (b.x - a.x) + (point.y - a.y) * (b.y - a.y)) / (length * length)));
  return Math.hypot(a.x + along * (b.x - a.x) - point.x, a.y + along * (b.y - a.y) - point.y);
}
