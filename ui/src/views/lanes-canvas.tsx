/** The bars of the timeline: a drag chooses a time, a click or Enter opens an entry; keys do all of it. */

import { useEffect, useRef, useState } from "preact/hooks";
import { moment } from "../core/format";
import { panned, widened } from "../core/span";
import { exclude, go, include, letterKeys, place, theme, zone } from "../core/state";
import type { Timeline } from "../core/types";
import { lanes as text } from "../text/lanes";
import { LANE_PX, type Spot, barAt, barOf, narrowed, stepped, windowOf } from "./lanes-look";
import { AXIS_PX, namePx, paint, plotPx } from "./lanes-paint";

const DRAG_PX = 4;

export function LanesCanvas({ timeline, fit }: { timeline: Timeline; fit: () => void }) {
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [at, setAt] = useState<Spot | null>(null);
  const [brush, setBrush] = useState<readonly [number, number] | null>(null);
  const drag = useRef<{ x: number; y: number } | null>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const now = at && timeline.lanes[at.lane] ? at : null;

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const measure = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    measure.observe(element);
    if (!document.activeElement?.closest(".filter, .detail")) element.focus({ preventScroll: true });
    return () => measure.disconnect();
  }, []);
  // Closer or further, one stays in the lane one was in.
  const kept = useRef("");
  useEffect(() => {
    const lane = timeline.lanes.findIndex((each) => each.kfl === kept.current);
    setAt(lane >= 0 ? { lane, bar: 0 } : null);
  }, [timeline]);
  useEffect(() => { if (now) kept.current = timeline.lanes[now.lane]?.kfl ?? ""; }, [now]);

  const draw = (): void => {
    if (canvas.current && host.current) paint(canvas.current, timeline, { top: host.current.scrollTop, at: now, brush, zone: zone.value });
  };
  useEffect(() => {
    const frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [timeline, now, brush, size, zone.value, theme.value]);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    return () => dark.removeEventListener("change", draw);
  });

  const plot = plotPx(size.width, timeline);
  const left = namePx(size.width, timeline);
  const spotOf = (event: PointerEvent | MouseEvent): { spot: Spot | null; x: number } => {
    const x = event.offsetX - left;
    const lane = Math.floor((event.offsetY - AXIS_PX + (host.current?.scrollTop ?? 0)) / LANE_PX);
    const bars = event.offsetY < AXIS_PX ? undefined : timeline.lanes[lane]?.bars;
    return { spot: bars ? { lane, bar: x < 0 ? -1 : barAt(bars, x, timeline.span, plot) } : null, x };
  };
  /** An entry is opened; several are gone into, as long as a time can be shorter. */
  const enter = (spot: Spot): void => {
    const bar = barOf(timeline, spot);
    if (!bar) return;
    const inside = windowOf(timeline, bar.first, bar.last);
    const isShorter = Number(BigInt(inside.until) - BigInt(inside.since)) < timeline.span * 0.9;
    if (bar.entries === 1 || !isShorter) go({ entry: bar.id }, place.value.entry !== "");
    else go(inside);
  };
  const reveal = (spot: Spot): void => {
    const element = host.current;
    if (!element) return;
    const y = spot.lane * LANE_PX;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + LANE_PX + AXIS_PX > element.scrollTop + size.height) element.scrollTop = y + LANE_PX + AXIS_PX - size.height;
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { since, until } = place.value;
    const lane = now ? timeline.lanes[now.lane] : undefined;
    const around = barOf(timeline, now)?.first ?? timeline.span / 2;
    const letters: Record<string, () => void> = {
      "+": () => go(narrowed(timeline, around)),
      "-": () => { if (since && until) go(widened({ since, until })); },
      "0": fit,
      f: () => { if (lane) include(lane.kfl); },
      F: () => { if (lane) exclude(lane.kfl); },
    };
    if (event.key === "Enter") { if (now) enter(now); }
    else if (event.shiftKey && (event.key === "ArrowLeft" || event.key === "ArrowRight")) { if (since && until) go(panned({ since, until }, event.key === "ArrowLeft" ? -1 : 1)); }
    else if (letterKeys.value && letters[event.key]) letters[event.key]?.();
    else {
      const next = stepped(timeline, now, event.key === "j" && letterKeys.value ? "ArrowDown" : event.key === "k" && letterKeys.value ? "ArrowUp" : event.key);
      if (!next || !/^(Arrow|Home|End|j$|k$)/.test(event.key)) return;
      setAt(next);
      reveal(next);
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const said = (spot: Spot) => {
    const lane = timeline.lanes[spot.lane];
    const bar = barOf(timeline, spot);
    if (!lane) return null;
    if (!bar) return <><b>{lane.name}</b><br />{text.laneTold(lane.entries, lane.errors)}</>;
    const time = moment(Number((BigInt(timeline.start) + BigInt(bar.first)) / 1_000n) / 1_000, zone.value);
    return <><b>{lane.name}</b><br />{text.bar(bar.entries, bar.errors, bar.protocol, time, (bar.last - bar.first) / 1e6)}<br /><span class="dim">{bar.entries === 1 ? text.open : text.into}</span></>;
  };
  return (
    <div class="lanes">
      <div class="lanes-plot" ref={host} tabIndex={0} role="application" aria-label={text.canvas(timeline.lanes.length)} onKeyDown={onKey} onScroll={draw}>
        <canvas ref={canvas} style={{ height: `${size.height}px` }} aria-hidden="true"
          onPointerDown={(event) => { if (event.button === 0) { drag.current = { x: event.offsetX - left, y: event.offsetY }; event.currentTarget.setPointerCapture(event.pointerId); } }}
          onPointerMove={(event) => {
            const { spot, x } = spotOf(event);
            const begun = drag.current;
            if (begun && begun.x >= 0 && (brush || Math.abs(x - begun.x) > DRAG_PX)) setBrush([begun.x, Math.min(plot, Math.max(0, x))]);
            else if (!begun && spot && (spot.lane !== now?.lane || spot.bar !== now.bar)) setAt(spot);
          }}
          onPointerUp={(event) => {
            const { spot } = spotOf(event);
            drag.current = null;
            if (brush) {
              setBrush(null);
              go(windowOf(timeline, (brush[0] / plot) * timeline.span, (brush[1] / plot) * timeline.span));
            } else if (spot && event.offsetX < left) { const lane = timeline.lanes[spot.lane]; if (lane) (event.altKey ? exclude : include)(lane.kfl); }
            else if (spot) enter(spot);
          }}
          onPointerCancel={() => { drag.current = null; setBrush(null); }} />
        <div style={{ height: `${Math.max(0, timeline.lanes.length * LANE_PX + AXIS_PX - size.height)}px` }} />
      </div>
      <div class="map-tip" role="status" hidden={!now}>{now && said(now)}</div>
    </div>
  );
}
