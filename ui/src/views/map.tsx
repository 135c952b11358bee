/** The service map: edges added up by the hub, of one time or of two compared, drawn on a canvas and listed as a table. */

import { useMemo, useState } from "preact/hooks";
import { api } from "../core/api";
import { bytes, count, hue, latency } from "../core/format";
import { go, include, place } from "../core/state";
import type { MapEdge, ServiceMap } from "../core/types";
import { SumProgress, useSum } from "../parts/summing";
import { map as text } from "../text/map";
import { MOST, MapCanvas } from "./map-canvas";
import { Compare } from "./map-compare";
import { CHANGES, type Hidden, NOTHING, WEIGHTS, type Weight, flip, legend, protocolsOf, shownEdges } from "./map-look";

const GROUPS = ["host", "pod", "service", "node", "namespace"] as const;
type Group = (typeof GROUPS)[number];

export function MapView() {
  const [group, setGroup] = useState<Group>("host");
  const [layer, setLayer] = useState(7);
  const [isTable, setTable] = useState(false);
  const [weight, setWeight] = useState<Weight>("calls");
  const [isFrozen, setFrozen] = useState(false);
  const [hidden, setHidden] = useState<Hidden>(NOTHING);
  const { kfl, since, until, against_since, against_until } = place.value;
  const sum = useSum<ServiceMap>(
    (told, signal) => api.map({ kfl, since, until, against_since, against_until, group }, layer, told, signal),
    [kfl, since, until, against_since, against_until, group, layer],
  );
  const { answer: map, error } = sum;
  const shown = useMemo(() => (map ? shownEdges(map, hidden) : []), [map, hidden]);
  const choose = (term: string): void => {
    if (term) include(term);
    go({ view: "traffic" });
  };
  return (
    <div class="map">
      <div class="map-tools">
        <label>{text.groupBy} <select class="small-select" value={group} onChange={(event) => setGroup(event.currentTarget.value as Group)}>{GROUPS.map((each) => <option key={each} value={each}>{text.groups[each]}</option>)}</select></label>
        <div class="segmented" role="group" aria-label={text.layer}>
          <button type="button" aria-pressed={layer === 7} onClick={() => setLayer(7)}>{text.calls}</button>
          <button type="button" aria-pressed={layer === 4} onClick={() => setLayer(4)}>{text.connections}</button>
        </div>
        <div class="segmented" role="group" aria-label={text.form}>
          <button type="button" aria-pressed={!isTable} onClick={() => setTable(false)}>{text.asMap}</button>
          <button type="button" aria-pressed={isTable} onClick={() => setTable(true)}>{text.asTable}</button>
        </div>
        {!isTable && <label>{text.width} <select class="small-select" value={weight} onChange={(event) => setWeight(event.currentTarget.value as Weight)}>{WEIGHTS.map((each) => <option key={each} value={each}>{text.widths[each]}</option>)}</select></label>}
        {!isTable && <button type="button" class="small" aria-pressed={isFrozen} title={text.freezeTitle} onClick={() => setFrozen(!isFrozen)}>{text.freeze}</button>}
        <Compare />
        <span class="grow" />
        <SumProgress sum={sum} />
        {map && <span class="dim" role="status">{text.summary(map.nodes.length, map.edges.length, map.entries, map.before_entries)}{map.hidden_edges ? text.hiddenEdges(map.hidden_edges) : ""}{map.nodes.length > MOST ? text.drawn(MOST) : ""}{map.stopped ? text.stopped(map.stopped) : ""}</span>}
      </div>
      {map && map.edges.length > 0 && <Legend map={map} hidden={hidden} set={setHidden} />}
      {error && <div class="empty" role="alert"><h2>{text.failed}</h2><p>{error}</p></div>}
      {!map && !error && <p class="empty">{text.adding}</p>}
      {map && !map.edges.length && <div class="empty"><h2>{text.nobody}</h2><p>{kfl ? text.noMatch : text.noEntry}</p></div>}
      {map && map.edges.length > 0 && !shown.includes(true) && <p class="empty">{text.allHidden}</p>}
      {map && shown.includes(true) && (isTable ? <Table map={map} shown={shown} choose={choose} /> : <MapCanvas map={map} shown={shown} weight={weight} isFrozen={isFrozen} choose={choose} />)}
    </div>
  );
}

/** What the colours mean; a click hides what it stands for. */
function Legend({ map, hidden, set }: { map: ServiceMap; hidden: Hidden; set: (hidden: Hidden) => void }) {
  const protocols = legend(map);
  const isCompared = map.before_entries !== null;
  const isAny = hidden.protocols.size + hidden.changes.size > 0;
  return (
    <div class="map-legend" role="group" aria-label={text.legend}>
      {isCompared && CHANGES.map((each) => (
        <button key={each} type="button" class="legend-item" data-change={each} aria-pressed={!hidden.changes.has(each)} onClick={() => set({ ...hidden, changes: flip(hidden.changes, each) })}>
          {text.signs[each]} {text.changes[each]} <span class="dim">{count(map.edges.filter((edge) => edge.change === each).length)}</span>
        </button>
      ))}
      {protocols.map(([name, calls]) => (
        <button key={name} type="button" class="legend-item" data-hue={isCompared ? undefined : hue(name)} aria-pressed={!hidden.protocols.has(name)} onClick={() => set({ ...hidden, protocols: flip(hidden.protocols, name) })}>
          {name} <span class="dim">{count(calls)}</span>
        </button>
      ))}
      <button type="button" class="small" onClick={() => set({ ...hidden, protocols: new Set(protocols.map(([name]) => name)) })}>{text.hideAll}</button>
      <button type="button" class="small" disabled={!isAny} onClick={() => set(NOTHING)}>{text.showAll}</button>
    </div>
  );
}

type Order = "calls" | "before" | "errors" | "bytes" | "p50" | "p99";

function amountOf(edge: MapEdge, by: Order): number {
  switch (by) {
    case "before": return edge.before?.calls ?? 0;
    case "p50": case "p99": return edge.latency_us[by] ?? 0;
    default: return edge[by];
  }
}

function Table({ map, shown, choose }: { map: ServiceMap; shown: readonly boolean[]; choose: (kfl: string) => void }) {
  const [by, setBy] = useState<Order>("calls");
  const isCompared = map.before_entries !== null;
  const all = map.edges.filter((_, i) => shown[i]).sort((a, b) => amountOf(b, by) - amountOf(a, by));
  const edges = all.slice(0, 1000);
  const head = (name: Order) => <th scope="col" class="n" aria-sort={by === name ? "descending" : "none"}><button type="button" class="link-button" onClick={() => setBy(name)}>{text.columns[name]}</button></th>;
  return (
    <div class="page" tabIndex={0} role="region" aria-label={text.edges}><div class="card scroll-x">
      <table class="grid">
        <thead><tr><th scope="col">{text.columns.from}</th><th scope="col">{text.columns.to}</th><th scope="col">{text.columns.protocols}</th>{isCompared && <th scope="col">{text.columns.change}</th>}{head("calls")}{isCompared && head("before")}{head("errors")}{head("bytes")}{head("p50")}{head("p99")}<th scope="col"><span class="hidden-text">{text.columns.actions}</span></th></tr></thead>
        <tbody>{edges.map((edge) => (
          <tr key={`${edge.source} ${edge.target}`}>
            <td class="mono">{edge.source}</td><td class="mono">{edge.target}</td><td>{protocolsOf(edge).join(", ")}</td>
            {isCompared && <td>{edge.change && text.changes[edge.change]}</td>}
            <td class="n">{count(edge.calls)}</td>{isCompared && <td class="n">{count(edge.before?.calls ?? 0)}</td>}
            <td class="n">{edge.errors ? <span class="bad">{count(edge.errors)}</span> : ""}</td><td class="n">{bytes(edge.bytes)}</td>
            <td class="n">{latency((edge.latency_us["p50"] ?? 0) / 1000)}</td><td class="n">{latency((edge.latency_us["p99"] ?? 0) / 1000)}</td>
            <td class="n"><button type="button" class="small" onClick={() => choose(edge.kfl)}>{text.entries}</button></td>
          </tr>
        ))}</tbody>
      </table>
      {all.length > edges.length && <p class="dim">{text.more(all.length - edges.length)}</p>}
    </div></div>
  );
}
