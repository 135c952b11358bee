/** Paints the timeline: lanes with their names, bars by protocol, what failed with a mark below, the axis of time. */

import { type Zone, count, hue, timeLabel } from "../core/format";
import type { Timeline } from "../core/types";
import { LANE_PX, type Spot, barBox, marksOf } from "./lanes-look";

export const AXIS_PX = 24;
const NAME_PX = 380; // at most
const LETTER_PX = 7.4;
const COUNT_PX = 66;
const LETTER = "11px system-ui, sans-serif";
const NAME = "12px ui-monospace, Menlo, Consolas, monospace";
const GAP = 8;

export interface Look {
  readonly top: number; // px that are scrolled away
  readonly at: Spot | null;
  readonly brush: readonly [number, number] | null; // px of the plot
  readonly zone: Zone;
}

/** Names take what the longest needs, and never half of the view. */
export function namePx(width: number, timeline: Timeline): number {
  const longest = Math.max(8, ...timeline.lanes.map((lane) => lane.name.length));
  return Math.round(Math.min(NAME_PX, width * 0.4, longest * LETTER_PX + COUNT_PX + 2 * GAP));
}

export const plotPx = (width: number, timeline: Timeline): number => Math.max(40, width - namePx(width, timeline) - GAP);

export function paint(canvas: HTMLCanvasElement, timeline: Timeline, look: Look): void {
  const context = canvas.getContext("2d");
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!context || !width || !height) return;
  const ratio = devicePixelRatio;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const [letters, dim, line, bad, selected, accent, panel] = ["--text", "--dim", "--hairline", "--bad", "--selected", "--accent", "--panel"].map(colour) as [string, string, string, string, string, string, string];
  const hues = Array.from({ length: 13 }, (_, i) => colour(`--h${i}`));
  const left = namePx(width, timeline);
  const plot = plotPx(width, timeline);
  const { span, lanes } = timeline;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.textBaseline = "middle";
  const { step, marks } = marksOf(timeline, plot);
  context.strokeStyle = line;
  context.beginPath();
  for (const { x } of marks) { context.moveTo(left + x + 0.5, AXIS_PX); context.lineTo(left + x + 0.5, height); }
  context.stroke();
  const first = Math.max(0, Math.floor((look.top - AXIS_PX) / LANE_PX));
  const end = Math.min(lanes.length, Math.ceil((look.top + height) / LANE_PX));
  const widest = Math.max(...lanes.flatMap((lane) => lane.bars.map((bar) => bar.entries)), 1);
  for (let i = first; i < end; i++) {
    const lane = lanes[i];
    if (!lane) continue;
    const y = AXIS_PX + i * LANE_PX - look.top;
    if (look.at?.lane === i) { context.fillStyle = selected; context.fillRect(0, y, width, LANE_PX); }
    context.font = NAME;
    context.fillStyle = letters;
    context.fillText(cut(context, lane.name, left - COUNT_PX), 10, y + LANE_PX / 2);
    context.font = LETTER;
    context.fillStyle = dim;
    context.textAlign = "right";
    context.fillText(count(lane.entries), left - GAP, y + LANE_PX / 2);
    context.textAlign = "left";
    const from = Math.min(Math.max(0, (lane.first / span) * plot), plot);
    context.fillRect(left + from, y + LANE_PX / 2, Math.max(1, Math.min(plot, (lane.last / span) * plot) - from), 1);
    lane.bars.forEach((bar, k) => {
      const box = barBox(bar, span, plot);
      const high = 6 + Math.round((LANE_PX - 14) * (Math.log1p(bar.entries) / Math.log1p(widest))); // a thousand are not a thousand times as high
      context.fillStyle = hues[hue(bar.protocol)] ?? dim;
      context.fillRect(left + box.x, y + (LANE_PX - high) / 2, box.width, high);
      if (bar.errors) { context.fillStyle = bad; triangle(context, left + box.x + Math.min(box.width, 8) / 2, y + LANE_PX - 2); }
      if (look.at?.lane === i && look.at.bar === k) {
        context.strokeStyle = accent;
        context.lineWidth = 2;
        context.strokeRect(left + box.x - 2, y + 2, box.width + 4, LANE_PX - 4);
        context.lineWidth = 1;
      }
    });
  }
  context.fillStyle = panel;
  context.fillRect(0, 0, width, AXIS_PX);
  context.fillStyle = dim;
  context.font = LETTER;
  for (const { ms, x } of marks) context.fillText(timeLabel(ms, step, look.zone), left + x + 4, AXIS_PX / 2);
  if (look.brush) {
    const [a, b] = look.brush;
    context.globalAlpha = 0.22;
    context.fillStyle = accent;
    context.fillRect(left + Math.min(a, b), AXIS_PX, Math.abs(b - a), height);
    context.globalAlpha = 1;
  }
}

/** What failed is told by a shape, too. */
function triangle(context: CanvasRenderingContext2D, x: number, bottom: number): void {
  context.beginPath();
  context.moveTo(x - 4, bottom);
  context.lineTo(x + 4, bottom);
  context.lineTo(x, bottom - 6);
  context.fill();
}

function cut(context: CanvasRenderingContext2D, name: string, px: number): string {
  const most = Math.floor(px / Math.max(1, context.measureText("0").width));
  return name.length <= most ? name : `${name.slice(0, Math.ceil(most / 2) - 1)}…${name.slice(name.length - Math.floor(most / 2))}`;
}
