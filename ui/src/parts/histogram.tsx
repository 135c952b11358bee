/** The timeline: entries over the whole store by protocol or class of status; a drag chooses a time. */

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { api } from "../core/api";
import { count, hue, moment, timeLabel } from "../core/format";
import { go, include, place, search, zone } from "../core/state";
import { panned, widened } from "../core/span";
import type { Histogram } from "../core/types";
import { traffic } from "../shared";
import { Icon } from "./icon";
import { SumProgress, useSum } from "./summing";
import { type Layer, stack } from "./stack";
import { texts } from "../text/histogram";

const BUCKETS = 160;
const PX = 64;
const STATUS_HUES: Readonly<Record<string, string>> = { "1xx": "--faint", "2xx": "--ok", "3xx": "--h1", "4xx": "--warn", "5xx": "--bad", error: "--bad", other: "--faint" };

function colour(name: string, by: string): string {
  const variable = by === "status" ? (STATUS_HUES[name] ?? "--faint") : name.startsWith("other (") ? "--faint" : `--h${hue(name)}`;
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim() || "gray";
}

export function HistogramChart() {
  const box = useRef<HTMLDivElement>(null);
  const [by, setBy] = useState<"protocol" | "status">("protocol");
  const [isTable, setTable] = useState(false);
  const { kfl, since, until } = place.value;
  const isDone = traffic.standing.value.phase === "done";

  const wanted = `${search.value} ${by}`;
  const [due, setDue] = useState("");
  useEffect(() => {
    // The list comes first: the timeline asks when its query has ended, or is long.
    if (!isDone) setDue("");
    const timer = setTimeout(() => setDue(wanted), isDone ? 0 : 1500);
    return () => clearTimeout(timer);
  }, [wanted, isDone]);
  const isDue = due === wanted;
  const sum = useSum<Histogram>(isDue ? (told, signal) => api.histogram(kfl, since, until, BUCKETS, by, told, signal) : null, [isDue && wanted]);
  const { answer: data, error: failed } = sum;

  const layers = data ? stack(data) : [];

  useEffect(() => {
    const host = box.current;
    if (!host || !data || isTable) return;
    const make = (): uPlot => chart(host, data, stack(data), by);
    let plot = make();
    const size = new ResizeObserver(() => plot.setSize({ width: host.clientWidth, height: PX }));
    size.observe(host);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const again = (): void => { plot.destroy(); plot = make(); };
    dark.addEventListener("change", again);
    const root = new MutationObserver(again);
    root.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      size.disconnect();
      root.disconnect();
      dark.removeEventListener("change", again);
      plot.destroy();
    };
  }, [data, by, isTable, zone.value]);

  return (
    <>
      <div class="timeline-side">
        <div class="segmented" role="group" aria-label={texts.coloursOfTheTimeline}>
          <button type="button" aria-pressed={by === "protocol"} onClick={() => setBy("protocol")}>{texts.protocol}</button>
          <button type="button" aria-pressed={by === "status"} onClick={() => setBy("status")}>{texts.status}</button>
        </div>
        <div class="timeline-tools">
          <SumProgress sum={sum} />
          {(since || until) && <button type="button" class="small" onClick={() => go({ since: "", until: "" })}><Icon name="close" />{texts.allTimes}</button>}
          <button type="button" class="small" aria-pressed={isTable} onClick={() => setTable(!isTable)}>{texts.table}</button>
          {since && until && <button type="button" class="icon" aria-label={texts.earlier} title={texts.earlier} onClick={() => go(panned({ since, until }, -1))}><Icon name="left" /></button>}
          {since && until && <button type="button" class="icon" aria-label={texts.wider} title={texts.twiceTheTime} onClick={() => go(widened({ since, until }))}><Icon name="minus" /></button>}
          {since && until && <button type="button" class="icon" aria-label={texts.later} title={texts.later} onClick={() => go(panned({ since, until }, 1))}><Icon name="right" /></button>}
        </div>
      </div>
      {!isTable && <div class="chart" ref={box} role="img" aria-label={data ? texts.entriesOverTimeThe(count(data.entries)) : texts.entriesOverTime}>{failed && !data && <p class="chart-note">{failed}</p>}</div>}
      {isTable && data && <Table data={data} layers={layers} />}
      <ul class="legend" aria-label={texts.legend}>
        {layers.slice(0, 7).map((layer) => (
          <li key={layer.name}>
            <button type="button" disabled={by !== "protocol" || layer.name.startsWith("other (")} onClick={() => include(`protocol == "${layer.name}"`)}>
              <Swatch name={layer.name} by={by} />{layer.name} <span class="dim">{count(layer.total)}</span>
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

function Swatch({ name, by }: { name: string; by: string }) {
  const kind = by === "status" ? { class: (STATUS_HUES[name] ?? "--faint").slice(2) } : name.startsWith("other (") ? { class: "faint" } : { "data-hue": String(hue(name)) };
  return <i {...kind} class={`swatch ${"class" in kind ? `s-${kind.class}` : ""}`} />;
}

function chart(host: HTMLElement, data: Histogram, layers: readonly Layer[], by: string): uPlot {
  const seconds = Array.from({ length: layers[0]?.counts.length ?? 0 }, (_, i) => (data.start + (i + 0.5) * data.width) / 1e9);
  const styles = getComputedStyle(document.documentElement);
  const dim = styles.getPropertyValue("--dim").trim();
  const line = styles.getPropertyValue("--hairline").trim();
  const bars = uPlot.paths.bars?.({ size: [0.86, 60], align: 0 });
  const axis: uPlot.Axis = { stroke: dim, font: "11px system-ui", grid: { stroke: line, width: 1 }, ticks: { show: false } };
  return new uPlot(
    {
      width: host.clientWidth, height: PX, legend: { show: false }, padding: [9, 20, 0, 0],
      ...(zone.value === "utc" ? { tzDate: (ts: number) => uPlot.tzDate(new Date(ts * 1e3), "Etc/UTC") } : {}),
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
      scales: { x: { time: true, range: [data.start / 1e9, (data.start + data.width * seconds.length) / 1e9] }, y: { range: (_u, _min, max) => [0, Math.max(1, max)] } },
      axes: [{ ...axis, size: 18, gap: 2, space: 90, grid: { show: false }, values: (_u, splits, _axis, _space, step) => splits.map((each) => timeLabel(each * 1000, step, zone.value)) }, { ...axis, size: 44, gap: 4, space: 22, splits: (_u, _i, _min, max) => [0, Math.ceil(max)], values: (_u, values) => values.map((v) => count(v)) }],
      series: [{}, ...[...layers].reverse().map((layer) => ({ label: layer.name, fill: colour(layer.name, by), width: 0, points: { show: false }, ...(bars ? { paths: bars } : {}) }))],
      hooks: {
        setSelect: [(u) => {
          if (u.select.width < 4) return;
          const ns = (px: number): string => BigInt(Math.round(u.posToVal(px, "x") * 1e6)).toString() + "000";
          go({ since: ns(u.select.left), until: ns(u.select.left + u.select.width) });
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
      },
    },
    [seconds, ...[...layers].reverse().map((layer) => [...layer.tops])],
    host,
  );
}

function Table({ data, layers }: { data: Histogram; layers: readonly Layer[] }) {
  const rows = Array.from({ length: layers[0]?.counts.length ?? 0 }, (_, i) => i).filter((i) => layers.some((layer) => layer.counts[i]));
  return (
    <div class="timeline-table" tabIndex={0} role="region" aria-label={texts.entriesOverTimeAs}>
      <table>
        <thead><tr><th scope="col">{texts.from}</th>{layers.map((layer) => <th scope="col" key={layer.name}>{layer.name}</th>)}</tr></thead>
        <tbody>
          {rows.map((i) => {
            const at = data.start + i * data.width;
            return (
              <tr key={i}>
                <th scope="row"><button type="button" class="link-button" onClick={() => go({ since: BigInt(Math.round(at)).toString(), until: BigInt(Math.round(at + data.width)).toString() })}>{moment(at / 1e6, zone.value)}</button></th>
                {layers.map((layer) => <td key={layer.name}>{layer.counts[i] ? count(layer.counts[i]) : ""}</td>)}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
