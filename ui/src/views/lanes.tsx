/** The timeline: what happens when, in lanes that the hub adds up; a part of the time is chosen, a bar leads to its entry. */

import { useState } from "preact/hooks";
import { api } from "../core/api";
import { count, moment } from "../core/format";
import { panned, widened } from "../core/span";
import { go, include, place, zone } from "../core/state";
import type { Timeline, TimelineLane } from "../core/types";
import { Divider } from "../parts/divider";
import { Icon } from "../parts/icon";
import { SumProgress, useSum } from "../parts/summing";
import { lanes as text } from "../text/lanes";
import { DetailPane } from "./detail";
import { LanesCanvas } from "./lanes-canvas";
import { fitted, narrowed } from "./lanes-look";

const GROUPS = ["peers", "service", "stream"] as const;
type Group = (typeof GROUPS)[number];
const BUCKETS = 240;
const MOST = 200; // rows of the table

let lastGroup: Group = "peers";

export function LanesView() {
  const [group, setGroup] = useState<Group>(lastGroup);
  const [isTable, setTable] = useState(false);
  const { kfl, since, until, entry } = place.value;
  const sum = useSum<Timeline>((told, signal) => api.timeline(kfl, since, until, group, BUCKETS, told, signal), [kfl, since, until, group]);
  const { answer: timeline, error } = sum;
  lastGroup = group;
  const isAll = !since && !until;
  const fit = (): void => {
    const narrow = timeline && fitted(timeline);
    if (narrow) go(narrow);
    else if (!isAll) go({ since: "", until: "" });
  };
  return (
    <div class="map">
      <div class="map-tools">
        <label>{text.groupBy} <select class="small-select" value={group} onChange={(event) => setGroup(event.currentTarget.value as Group)}>{GROUPS.map((each) => <option key={each} value={each}>{text.groups[each]}</option>)}</select></label>
        <div class="segmented" role="group" aria-label={text.form}>
          <button type="button" aria-pressed={!isTable} onClick={() => setTable(false)}>{text.asBars}</button>
          <button type="button" aria-pressed={isTable} onClick={() => setTable(true)}>{text.asTable}</button>
        </div>
        {!isAll && <button type="button" class="small" onClick={() => go({ since: "", until: "" })}><Icon name="close" />{text.allTimes}</button>}
        <button type="button" class="small" title={text.fitTitle} disabled={!timeline || !fitted(timeline)} onClick={fit}>{text.fit}</button>
        {timeline && <button type="button" class="small" aria-label={text.closer} title={text.closer} onClick={() => go(narrowed(timeline, timeline.span / 2))}>+</button>}
        {since && until && <button type="button" class="icon" aria-label={text.wider} title={text.wider} onClick={() => go(widened({ since, until }))}><Icon name="minus" /></button>}
        {since && until && <button type="button" class="icon" aria-label={text.earlier} title={text.earlier} onClick={() => go(panned({ since, until }, -1))}><Icon name="left" /></button>}
        {since && until && <button type="button" class="icon" aria-label={text.later} title={text.later} onClick={() => go(panned({ since, until }, 1))}><Icon name="right" /></button>}
        <span class="grow" />
        <SumProgress sum={sum} />
        {timeline && <span class="dim" role="status">{text.summary(timeline.lanes.length, timeline.entries)}{timeline.hidden_lanes ? text.hidden(timeline.hidden_lanes, timeline.hidden_entries) : ""}{timeline.stopped ? text.stopped(timeline.stopped) : ""}</span>}
      </div>
      <div class="split" data-open={entry !== "" || undefined}>
        <div class="list-pane">
          {error && <div class="empty" role="alert"><h2>{text.failed}</h2><p>{error}</p></div>}
          {!timeline && !error && <p class="empty">{text.adding}</p>}
          {timeline && !timeline.lanes.length && <div class="empty"><h2>{text.nothing}</h2><p>{kfl ? text.noMatch : text.noEntry}</p></div>}
          {timeline && timeline.lanes.length > 0 && (isTable ? <Table timeline={timeline} /> : <LanesCanvas timeline={timeline} fit={fit} />)}
        </div>
        {entry && <Divider />}
        {entry && <DetailPane id={entry} />}
      </div>
    </div>
  );
}

/** Protocols of most of the bars' entries, the most frequent first. */
function protocols(lane: TimelineLane): string {
  const counts = new Map<string, number>();
  for (const { protocol, entries } of lane.bars) counts.set(protocol, (counts.get(protocol) ?? 0) + entries);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([name]) => name).join(", ");
}

function Table({ timeline }: { timeline: Timeline }) {
  const at = (ns: number): string => moment(Number((BigInt(timeline.start) + BigInt(ns)) / 1_000n) / 1_000, zone.value);
  const { lanes } = timeline;
  const columns = text.columns;
  return (
    <div class="page" tabIndex={0} role="region" aria-label={text.table}><div class="card scroll-x">
      <table class="grid">
        <thead><tr><th scope="col">{columns.lane}</th><th scope="col">{columns.protocols}</th><th scope="col" class="n">{columns.entries}</th><th scope="col" class="n">{columns.errors}</th><th scope="col">{columns.first}</th><th scope="col">{columns.last}</th><th scope="col"><span class="hidden-text">{columns.actions}</span></th></tr></thead>
        <tbody>{lanes.slice(0, MOST).map((lane) => (
          <tr key={lane.kfl}>
            <td class="mono">{lane.name}</td><td>{protocols(lane)}</td><td class="n">{count(lane.entries)}</td>
            <td class="n">{lane.errors ? <span class="bad">{count(lane.errors)}</span> : ""}</td><td class="number">{at(lane.first)}</td><td class="number">{at(lane.last)}</td>
            <td class="n"><button type="button" class="small" onClick={() => include(lane.kfl)}>{text.only}</button> <button type="button" class="small" onClick={() => go({ entry: lane.bars[0]?.id ?? "" })}>{text.first}</button></td>
          </tr>
        ))}</tbody>
      </table>
    </div></div>
  );
}
