/** The service map: edges added up by the hub, drawn on a canvas, with the same numbers as a table. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api } from "../core/api";
import { bytes, count, hue, latency, plural } from "../core/format";
import { go, include, place, search } from "../core/state";
import { quote } from "../core/kfl";
import type { MapEdge, ServiceMap } from "../core/types";
import { type Drawn, type Layout, type Placed, layout } from "./map-layout";

const MOST = 1_000;
const GROUPS = ["host", "workload", "namespace"] as const;

type Target = { kind: "node"; node: Placed } | { kind: "edge"; edge: MapEdge } | null;

export function MapView() {
  const [group, setGroup] = useState<string>("host");
  const [layer, setLayer] = useState(7);
  const [isTable, setTable] = useState(false);
  const [map, setMap] = useState<ServiceMap | null>(null);
  const [error, setError] = useState("");
  const { kfl, since, until } = place.value;
  useEffect(() => {
    let isCurrent = true;
    setError("");
    api.map(kfl, since, until, group, layer).then(
      (found) => { if (isCurrent) setMap(found); },
      (failed: Error) => { if (isCurrent) { setError(failed.message); setMap(null); } },
    );
    return () => { isCurrent = false; };
  }, [search.value, group, layer]);
  return (
    <div class="map">
      <div class="map-tools">
        <label>Group by <select class="small-select" value={group} onChange={(event) => setGroup(event.currentTarget.value)}>{GROUPS.map((each) => <option key={each}>{each}</option>)}</select></label>
        <div class="segmented" role="group" aria-label="Layer">
          <button type="button" aria-pressed={layer === 7} onClick={() => setLayer(7)}>calls</button>
          <button type="button" aria-pressed={layer === 4} onClick={() => setLayer(4)}>connections</button>
        </div>
        <div class="segmented" role="group" aria-label="Form">
          <button type="button" aria-pressed={!isTable} onClick={() => setTable(false)}>map</button>
          <button type="button" aria-pressed={isTable} onClick={() => setTable(true)}>table</button>
        </div>
        <span class="grow" />
        {map && <span class="dim" role="status">{plural(map.nodes.length, "node")}, {plural(map.edges.length, "edge")} from {plural(map.entries, "entry", "entries")}{map.hidden_edges ? `; ${count(map.hidden_edges)} edges are hidden` : ""}{map.nodes.length > MOST ? `; the busiest ${count(MOST)} are drawn` : ""}{map.stopped ? `; stopped: ${map.stopped}` : ""}</span>}
      </div>
      {error && <div class="empty" role="alert"><h2>No map</h2><p>{error}</p></div>}
      {!map && !error && <p class="empty">Adding up …</p>}
      {map && !map.edges.length && <div class="empty"><h2>Nobody talks to anybody</h2><p>{kfl ? "No entry matches the filter." : "The store holds no entry yet."}</p></div>}
      {map && map.edges.length > 0 && (isTable ? <Table map={map} /> : <Canvas map={map} />)}
    </div>
  );
}

const protocols = (edge: MapEdge): string => Object.entries(edge.protocols).sort((a, b) => b[1] - a[1]).map(([name]) => name).join(", ");

function choose(edge: MapEdge): void {
  include(edge.kfl);
  go({ view: "traffic" });
}

function Table({ map }: { map: ServiceMap }) {
  const [by, setBy] = useState<"calls" | "errors" | "bytes">("calls");
  const edges = [...map.edges].sort((a, b) => b[by] - a[by]).slice(0, 1000);
  const head = (name: "calls" | "errors" | "bytes", title: string) => <th scope="col" class="n" aria-sort={by === name ? "descending" : "none"}><button type="button" class="link-button" onClick={() => setBy(name)}>{title}</button></th>;
  return (
    <div class="page" tabIndex={0} role="region" aria-label="Edges of the map"><div class="card scroll-x">
      <table class="grid">
        <thead><tr><th scope="col">From</th><th scope="col">To</th><th scope="col">Protocols</th>{head("calls", "Calls")}{head("errors", "Errors")}{head("bytes", "Bytes")}<th scope="col" class="n">p50</th><th scope="col" class="n">p99</th><th scope="col"><span class="hidden-text">Actions</span></th></tr></thead>
        <tbody>{edges.map((edge) => (
          <tr key={edge.source + edge.target}>
            <td class="mono">{edge.source}</td><td class="mono">{edge.target}</td><td>{protocols(edge)}</td>
            <td class="n">{count(edge.calls)}</td><td class="n">{edge.errors ? <span class="bad">{count(edge.errors)}</span> : ""}</td><td class="n">{bytes(edge.bytes)}</td>
            <td class="n">{latency((edge.latency_us["p50"] ?? 0) / 1000)}</td><td class="n">{latency((edge.latency_us["p99"] ?? 0) / 1000)}</td>
            <td class="n"><button type="button" class="small" onClick={() => choose(edge)}>Entries</button></td>
          </tr>
        ))}</tbody>
      </table>
      {map.edges.length > edges.length && <p class="dim">{count(map.edges.length - edges.length)} more: narrow the filter</p>}
    </div></div>
  );
}

function Canvas({ map }: { map: ServiceMap }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const placed = useMemo<Layout>(() => layout(map, MOST), [map]);
  const [target, setTarget] = useState<Target>(null);
  const view = useRef({ x: 0, y: 0, scale: 1, isFitted: false });
  const draw = useRef<() => void>(() => undefined);

  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context) return;
    let frame = 0;
    draw.current = () => { if (!frame) frame = requestAnimationFrame(() => { frame = 0; paint(element, context, map, placed, view.current, target); }); };
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
  }, [map, placed, target]);
  useEffect(() => { view.current.isFitted = false; setTarget(null); draw.current(); }, [placed]);

  const at = (event: MouseEvent): { x: number; y: number } => {
    const box = event.currentTarget as HTMLElement;
    const { x, y, scale } = view.current;
    return { x: (event.offsetX - box.clientWidth / 2) / scale - x, y: (event.offsetY - box.clientHeight / 2) / scale - y };
  };
  const hit = (event: MouseEvent): Target => {
    const point = at(event);
    for (const node of placed.nodes) if (Math.hypot(node.x - point.x, node.y - point.y) <= node.radius + 4) return { kind: "node", node };
    let best: Drawn | null = null;
    let nearest = 6 / view.current.scale;
    for (const link of placed.links) {
      const distance = fromLine(point, link);
      if (distance < nearest) { nearest = distance; best = link; }
    }
    const edge = best && map.edges[best.index];
    return edge ? { kind: "edge", edge } : null;
  };
  const act = (what: Target): void => {
    if (what?.kind === "edge") choose(what.edge);
    else if (what) { include(nodeTerm(map, what.node.id)); go({ view: "traffic" }); }
  };
  const drag = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const walk = (event: KeyboardEvent): void => {
    const keys: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = keys[event.key];
    const now = target?.kind === "node" ? target.node : null;
    if (event.key === "Enter" && target) act(target);
    else if (event.key === "+" || event.key === "-") view.current.scale *= event.key === "+" ? 1.2 : 1 / 1.2;
    else if (event.key === "0") view.current.isFitted = false;
    else if (way) {
      const [dx, dy] = way;
      let best: Placed | null = now ? null : (placed.nodes[0] ?? null);
      let least = Infinity;
      for (const node of placed.nodes) {
        if (!now || node === now) continue;
        const ahead = (node.x - now.x) * dx + (node.y - now.y) * dy;
        const aside = Math.abs((node.x - now.x) * dy) + Math.abs((node.y - now.y) * dx);
        if (ahead > 0 && ahead + 2 * aside < least) { least = ahead + 2 * aside; best = node; }
      }
      if (best) setTarget({ kind: "node", node: best });
    } else return;
    event.preventDefault();
    draw.current();
  };
  return (
    <div class="map-canvas">
      <canvas ref={canvas} tabIndex={0} role="img" aria-label={`Service map of ${map.nodes.length} nodes and ${map.edges.length} edges. Arrow keys walk from node to node, Enter filters. The button “table” has the numbers.`}
        onKeyDown={walk}
        onPointerDown={(event) => { drag.current = { x: event.clientX, y: event.clientY, moved: false }; event.currentTarget.setPointerCapture(event.pointerId); }}
        onPointerMove={(event) => {
          const { current } = drag;
          if (current) {
            const { scale } = view.current;
            if (Math.hypot(event.clientX - current.x, event.clientY - current.y) > 2 || current.moved) {
              view.current.x += (event.clientX - current.x) / scale;
              view.current.y += (event.clientY - current.y) / scale;
              drag.current = { x: event.clientX, y: event.clientY, moved: true };
              draw.current();
            }
          } else {
            const found = hit(event);
            const isSame = found?.kind === target?.kind && (found?.kind === "node" ? target?.kind === "node" && found.node === target.node : found?.kind === "edge" && target?.kind === "edge" && found.edge === target.edge);
            if (!isSame && (found || target?.kind === "edge" || target)) setTarget(found);
          }
        }}
        onPointerUp={(event) => { const wasDrag = drag.current?.moved; drag.current = null; if (!wasDrag) act(hit(event)); }}
        onWheel={(event) => { event.preventDefault(); view.current.scale = Math.min(6, Math.max(0.08, view.current.scale * Math.exp(-event.deltaY / 500))); draw.current(); }} />
      <div class="map-tip" role="status" hidden={!target}>{target && <Tip target={target} map={map} />}</div>
    </div>
  );
}

function nodeTerm(map: ServiceMap, id: string): string {
  const node = map.nodes.find((each) => each.id === id);
  const ips = node?.addresses ?? [id];
  return `(${ips.map((ip) => `src.ip == ${quote(ip)} || dst.ip == ${quote(ip)}`).join(" || ")})`;
}

function Tip({ target, map }: { target: Exclude<Target, null>; map: ServiceMap }) {
  if (target.kind === "edge") {
    const { edge } = target;
    return <><b>{edge.source} → {edge.target}</b><br />{protocols(edge)} · {plural(edge.calls, "call")}{edge.errors ? `, ${plural(edge.errors, "error")}` : ""} · {bytes(edge.bytes)}{edge.latency_us["p50"] ? ` · p50 ${latency(edge.latency_us["p50"] / 1000)}` : ""}{edge.latency_us["p99"] ? `, p99 ${latency(edge.latency_us["p99"] / 1000)}` : ""}<br /><span class="dim">Click: its entries</span></>;
  }
  const node = map.nodes.find((each) => each.id === target.node.id);
  return <><b>{target.node.id}</b>{node?.namespace ? ` in ${node.namespace}` : ""}<br />{plural(node?.calls_in ?? 0, "call")} in, {count(node?.calls_out ?? 0)} out<br /><span class="dim">Click or Enter: its entries</span></>;
}

function fromLine(point: { x: number; y: number }, link: Drawn): number {
  const { source: a, target: b } = link;
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const along = Math.min(1, Math.max(0, ((point.x - a.x) * (b.x - a.x) + (point.y - a.y) * (b.y - a.y)) / (length * length)));
  return Math.hypot(a.x + along * (b.x - a.x) - point.x, a.y + along * (b.y - a.y) - point.y);
}

function paint(canvas: HTMLCanvasElement, context: CanvasRenderingContext2D, map: ServiceMap, placed: Layout, view: { x: number; y: number; scale: number; isFitted: boolean }, target: Target): void {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = devicePixelRatio;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  if (!view.isFitted && width && height) {
    Object.assign(view, { x: 0, y: 0, scale: Math.min(1.6, (width - 160) / Math.max(1, placed.width), (height - 110) / Math.max(1, placed.height)), isFitted: true });
  }
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const [text, dim, bad, accent, panel] = ["--text", "--dim", "--bad", "--accent", "--panel"].map(colour) as [string, string, string, string, string];
  context.setTransform(ratio, 0, 0, ratio, (width / 2) * ratio, (height / 2) * ratio);
  context.clearRect(-width / 2, -height / 2, width, height);
  context.scale(view.scale, view.scale);
  context.translate(view.x, view.y);
  const hues = Array.from({ length: 13 }, (_, i) => colour(`--h${i}`));
  for (const link of placed.links) {
    const edge = map.edges[link.index];
    if (!edge) continue;
    const isTarget = target?.kind === "edge" && target.edge === edge;
    const isNear = target?.kind === "node" && (target.node === link.source || target.node === link.target);
    const main = Object.entries(edge.protocols).sort((a, b) => b[1] - a[1])[0]?.[0] ?? "";
    context.globalAlpha = target && !isTarget && !isNear ? 0.16 : 0.75;
    context.strokeStyle = isTarget ? accent : edge.errors ? bad : (hues[hue(main)] ?? dim);
    context.setLineDash(edge.errors ? [6, 3] : []); // errors are dashed, too: not by colour alone
    context.lineWidth = link.width + (isTarget ? 2 : 0);
    arrow(context, link);
  }
  context.setLineDash([]);
  const px = 12 / view.scale; // letters keep their size
  context.font = `${px}px system-ui, sans-serif`;
  context.textAlign = "center";
  const label = view.scale > 0.55 && placed.nodes.length < 400;
  for (const node of placed.nodes) {
    const isTarget = target?.kind === "node" && target.node === node;
    context.globalAlpha = 1;
    context.beginPath();
    context.arc(node.x, node.y, node.radius, 0, 7);
    context.fillStyle = isTarget ? accent : panel;
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = isTarget ? text : dim;
    context.stroke();
    if (label || isTarget) {
      context.lineWidth = 3 / view.scale;
      context.strokeStyle = panel;
      context.strokeText(node.id, node.x, node.y + node.radius + px * 1.2);
      context.fillStyle = text;
      context.fillText(node.id, node.x, node.y + node.radius + px * 1.2);
    }
  }
}

function arrow(context: CanvasRenderingContext2D, { source, target, width }: Drawn): void {
  const dx = target.x - source.x;
  const dy = target.y - source.y;
  const length = Math.hypot(dx, dy);
  if (length < 1) return;
  // A slight bow, so that both directions are seen.
  const bow = Math.min(28, length * 0.12);
  const mx = (source.x + target.x) / 2 - (dy / length) * bow;
  const my = (source.y + target.y) / 2 + (dx / length) * bow;
  const angle = Math.atan2(target.y - my, target.x - mx);
  const ex = target.x - Math.cos(angle) * (target.radius + 2);
  const ey = target.y - Math.sin(angle) * (target.radius + 2);
  context.beginPath();
  context.moveTo(source.x, source.y);
  context.quadraticCurveTo(mx, my, ex, ey);
  context.stroke();
  const head = 5 + width;
  context.beginPath();
  context.moveTo(ex, ey);
  context.lineTo(ex - head * Math.cos(angle - 0.4), ey - head * Math.sin(angle - 0.4));
  context.lineTo(ex - head * Math.cos(angle + 0.4), ey - head * Math.sin(angle + 0.4));
  context.fillStyle = context.strokeStyle;
  context.fill();
}
