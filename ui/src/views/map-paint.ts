/** Paints the service map: edges by protocol, or by what changed; names where there is room. */

import { hue } from "../core/format";
import type { MapEdge, ServiceMap } from "../core/types";
import { map as text } from "../text/map";
import { type Label, placeLabels } from "./map-labels";
import type { Drawn, Layout, Placed } from "./map-layout";
import { protocolsOf } from "./map-look";

export type Target = { kind: "node"; node: Placed } | { kind: "edge"; edge: MapEdge } | null;

export interface Camera {
  x: number;
  y: number;
  scale: number;
  isFitted: boolean;
}

export interface Scene {
  readonly map: ServiceMap;
  readonly placed: Layout;
  readonly shown: readonly boolean[]; // edges
  readonly widths: readonly number[];
  readonly titles: ReadonlyMap<string, string>; // of nodes
}

const LETTERS = 12; // px
const FAR = 0.35; // smaller than that no name can be read beside its node
const FONT = `${LETTERS}px system-ui, sans-serif`;
const DASHES: Readonly<Record<string, number[]>> = { gone: [2, 5], errors: [6, 3], other: [] };

export class Painter {
  private labels: { scale: number; labels: readonly Label[] } | null = null;
  private readonly nodes: readonly Placed[];
  private readonly measured = new Map<string, number>();

  constructor(private readonly canvas: HTMLCanvasElement, private readonly context: CanvasRenderingContext2D, private readonly scene: Scene) {
    const seen = new Set<Placed>();
    for (const link of scene.placed.links) if (scene.shown[link.index]) seen.add(link.source).add(link.target);
    this.nodes = scene.placed.nodes.filter((node) => seen.has(node));
  }

  paint(camera: Camera, target: Target): void {
    const { canvas, context, scene } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    const ratio = devicePixelRatio;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    if (!camera.isFitted && width && height) {
      const { width: wide, height: high } = scene.placed;
      Object.assign(camera, { x: 0, y: 0, scale: Math.min(1.6, (width - 160) / Math.max(1, wide), (height - 110) / Math.max(1, high)), isFitted: true });
    }
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const hues = Array.from({ length: 13 }, (_, i) => colour(`--h${i}`));
    const [letters, dim, bad, good, warn, accent, panel] = ["--text", "--dim", "--bad", "--ok", "--warn", "--accent", "--panel"].map(colour) as [string, string, string, string, string, string, string];
    const changes: Readonly<Record<string, string>> = { new: good, gone: bad, changed: warn, same: dim };
    context.setTransform(ratio, 0, 0, ratio, (width / 2) * ratio, (height / 2) * ratio);
    context.clearRect(-width / 2, -height / 2, width, height);
    context.scale(camera.scale, camera.scale);
    context.translate(camera.x, camera.y);
    context.font = FONT;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const link of scene.placed.links) {
      const edge = scene.map.edges[link.index];
      if (!edge || !scene.shown[link.index]) continue;
      const isTarget = target?.kind === "edge" && target.edge === edge;
      const isNear = target?.kind === "node" && (target.node === link.source || target.node === link.target);
      context.globalAlpha = target && !isTarget && !isNear ? 0.16 : edge.change === "same" ? 0.4 : 0.75;
      const plain = edge.change ? (changes[edge.change] ?? dim) : edge.errors ? bad : (hues[hue(protocolsOf(edge)[0] ?? "")] ?? dim);
      context.strokeStyle = isTarget ? accent : plain;
      // Dashes say it, too: not by colour alone.
      context.setLineDash(DASHES[edge.change === "gone" ? "gone" : edge.errors && !edge.change ? "errors" : "other"] ?? []);
      const wide = (scene.widths[link.index] ?? 1) + (isTarget ? 2 : 0);
      context.lineWidth = wide;
      const middle = arrow(context, link, wide);
      if (edge.change && edge.change !== "same") this.say(text.signs[edge.change], middle.x, middle.y, plain, panel, camera.scale);
    }
    context.setLineDash([]);
    for (const node of this.nodes) {
      const isTarget = target?.kind === "node" && target.node === node;
      context.globalAlpha = 1;
      context.beginPath();
      context.arc(node.x, node.y, node.radius, 0, 7);
      context.fillStyle = isTarget ? accent : panel;
      context.fill();
      context.lineWidth = 2;
      context.strokeStyle = isTarget ? letters : dim;
      context.stroke();
    }
    for (const { at, x, y } of camera.scale > FAR ? this.placed(camera.scale) : []) {
      const node = this.nodes[at];
      if (node && !(target?.kind === "node" && target.node === node)) this.say(this.title(node), x / camera.scale, y / camera.scale, letters, panel, camera.scale);
    }
    if (target?.kind === "node") {
      const { node } = target;
      this.say(this.title(node), node.x, node.y + node.radius + (LETTERS * 0.9) / camera.scale, letters, panel, camera.scale);
    }
  }

  private title(node: Placed): string {
    return this.scene.titles.get(node.id) ?? node.id;
  }

  /** A text that keeps its size, with a rim that keeps it apart from lines. */
  private say(what: string, x: number, y: number, colour: string, rim: string, scale: number): void {
    const { context } = this;
    context.save();
    context.setLineDash([]);
    context.translate(x, y);
    context.scale(1 / scale, 1 / scale);
    context.lineWidth = 3;
    context.strokeStyle = rim;
    context.strokeText(what, 0, 0);
    context.fillStyle = colour;
    context.fillText(what, 0, 0);
    context.restore();
  }

  /** Names do not move while one pans: they are placed again when the scale changes. */
  private placed(scale: number): readonly Label[] {
    if (this.labels?.scale !== scale) {
      const wanted = this.nodes.map((node) => ({ x: node.x * scale, y: node.y * scale, radius: node.radius * scale, width: this.width(this.title(node)) }));
      this.labels = { scale, labels: placeLabels(wanted, LETTERS * 1.2) };
    }
    return this.labels.labels;
  }

  private width(what: string): number {
    let width = this.measured.get(what);
    if (width === undefined) this.measured.set(what, (width = this.context.measureText(what).width));
    return width;
  }
}

/** Draw an edge; returns its middle. */
function arrow(context: CanvasRenderingContext2D, { source, target }: Drawn, width: number): { x: number; y: number } {
  const dx = target.x - source.x;
  const dy = target.y - source.y;
  const length = Math.hypot(dx, dy);
  if (length < 1) return { x: source.x, y: source.y };
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
  return { x: source.x / 4 + mx / 2 + ex / 4, y: source.y / 4 + my / 2 + ey / 4 };
}
