/** The list with its timeline, the entry beside it, and every state of the list in words. */

import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "../core/api";
import { bytes, count } from "../core/format";
import { columns, density, dialog, dropLast, exclude, go, include, marks, may, order, place, say, search, session, setFilter, zone } from "../core/state";
import type { Info, Worker } from "../core/types";
import { LIMIT } from "../core/traffic";
import { standingText, titleOf } from "../text/list";
import { setFollow } from "../keys";
import { TrafficList } from "../list/traffic-list";
import { Histogram } from "../parts/histogram-lazy";
import { Divider } from "../parts/divider";
import { Icon } from "../parts/icon";
import { cellTerm } from "../parts/terms";
import { shown, traffic } from "../shared";
import { packets as packetText } from "../text/workers";
import { DetailPane } from "./detail";
import { texts } from "../text/traffic";
import { units } from "../text/units";

export function TrafficView() {
  const host = useRef<HTMLDivElement>(null);
  const names = columns.value.map((column) => column.name).join();

  useEffect(() => {
    const list = new TrafficList(traffic.rows, {
      open: (row) => go({ entry: traffic.rows.id(row) }, place.value.entry !== ""),
      select: (row) => { if (place.value.entry) go({ entry: traffic.rows.id(row) }, true); },
      cell: (row, column, isExclude) => void cellTerm(row, column).then((term) => { if (term) (isExclude ? exclude : include)(term); }),
      end: (atEnd) => traffic.seen(atEnd),
      sort: () => (order.value = order.value === "oldest" ? "newest" : "oldest"),
      resize: (name, width) => (columns.value = columns.value.map((column) => (column.name === name ? { ...column, width: Math.round(width) } : column))),
    });
    shown.list = list;
    traffic.listeners = {
      reset: () => list.reset(),
      grown: () => list.grown(),
      trimmed: (gone) => list.trimmed(gone),
    };
    host.current?.append(list.element);
    if (!document.activeElement?.closest(".filter")) list.focus(); // whoever came to type goes on typing
    return () => {
      list.destroy();
      list.element.remove();
      shown.list = null;
      traffic.listeners = null;
    };
  }, []);

  useEffect(() => {
    shown.list?.configure(columns.value.map(({ name, width }) => ({ name, width, title: titleOf(name) })), density.value, zone.value, order.value);
  }, [columns.value, density.value, zone.value, order.value]);
  useEffect(() => shown.list?.setMarks(marks.value), [marks.value]);
  useEffect(() => { if (shown.list) shown.list.following = traffic.following.value; }, [traffic.following.value]);
  // A change of the search runs it; coming back from another view does not.
  useEffect(() => {
    const { kfl, since, until } = place.value;
    const wanted = [search.value, order.value, names].join();
    if (wanted === lastRun) return;
    lastRun = wanted;
    traffic.run(kfl, since, until, order.value, columns.value.map((column) => column.name));
  }, [search.value, order.value, names]);

  const { entry } = place.value;
  return (
    <div class="traffic">
      <Histogram />
      <div class="split" data-open={entry !== "" || undefined}>
        <div class="list-pane">
          <div class="list-host" data-old={traffic.standing.value.isOld || undefined} ref={host} />
          <ListState />
          <Pill />
        </div>
        {entry && <Divider />}
        {entry && <DetailPane id={entry} />}
      </div>
      <Foot />
    </div>
  );
}

let lastRun = "";

/** Over the list where there is no row: why, and what next. */
function ListState() {
  const standing = traffic.standing.value;
  const [info, setInfo] = useState<Info | null>(null);
  const isEmpty = traffic.count.value === 0;
  const isNothing = isEmpty && standing.phase === "done";
  useEffect(() => { if (isNothing) api.info().then(setInfo, () => setInfo(null)); }, [isNothing]);
  if (!isEmpty) return null;
  if (standing.phase === "failed") {
    return (
      <div class="empty" role="alert">
        <h2>{texts.theQueryFailed}</h2>
        <p>{standing.error}</p>
        <p><button type="button" onClick={() => traffic.rerun()}>{texts.tryAgain}</button></p>
      </div>
    );
  }
  if (traffic.link.value === "lost" && standing.phase !== "done") return <div class="empty"><h2>{texts.noAnswer}</h2><p>{texts.isItRunning(<code>{texts.kubesharkServe}</code>)}</p></div>;
  if (traffic.isRunning.value) return <div class="skeleton" aria-hidden="true">{Array.from({ length: 12 }, (_, i) => <i key={i} />)}</div>;
  if (!isNothing || !info) return null;
  const { kfl, since, until } = place.value;
  if (info.packets === 0) {
    return (
      <div class="empty">
        <h2>{texts.nothingCapturedYet}</h2>
        <p>{texts.storeIsEmpty(<code>{info.path}</code>)}</p>
        <Capturing />
        <p>{texts.howToBegin}</p>
        <pre>{texts.howToRecord("\n")}</pre>
        {may("import") && <p><button type="button" class="primary" onClick={() => go({ view: "captures" })}>{texts.importACapture}</button></p>}
      </div>
    );
  }
  return (
    <div class="empty">
      <h2>{texts.noEntryMatches}</h2>
      {kfl && <p><code>{kfl}</code></p>}
      <p>{texts.noneAmong(since || until ? texts.inTheChosenTime : texts.thereIsNone, units.packet(info.packets), units.connection(info.flows), standing.read ? texts.wereRead(bytes(standing.read)) : "")}</p>
      <p class="buttons">
        {kfl && <button type="button" onClick={dropLast}>{texts.dropTheLastTerm}</button>}
        {kfl && <button type="button" onClick={() => setFilter("")}>{texts.clearTheFilter}</button>}
        {(since || until) && <button type="button" onClick={() => go({ since: "", until: "" })}>{texts.allTimes}</button>}
      </p>
    </div>
  );
}

/** What workers have seen while nothing is there to show. */
function Capturing() {
  const [workers, setWorkers] = useState<readonly Worker[]>([]);
  const all = traffic.workers.value;
  useEffect(() => { if (all.length) api.workers().then(setWorkers, () => setWorkers([])); }, [all]);
  const captures = workers.flatMap((worker) => worker.captures.map((capture) => ({ place: `${worker.node ?? worker.url}, ${capture.interface}`, capture })));
  if (!captures.length) return null;
  return <><ul>{captures.map(({ place: where, capture }) => <li key={where}>{packetText.seen(where, packetText.counters(capture))}</li>)}</ul><p>{packetText.causes}</p></>;
}

function Pill() {
  const unseen = traffic.unseen.value;
  if (traffic.hasNew.value) return <button type="button" class="pill" onClick={() => traffic.rerun()}>{texts.newTrafficShowIt}</button>;
  if (!unseen || traffic.following.value) return null;
  return <button type="button" class="pill" onClick={() => { traffic.unseen.value = 0; shown.list?.toEnd(); }}>{texts.new(count(unseen))} <Icon name="down" /></button>;
}

const DROPS_MS = 10_000;

/** Packets that the captures had no room for: an entry that is missing may lie there. */
function Drops() {
  const [counted, setCounted] = useState({ dropped: 0, lost: 0 });
  const isLive = traffic.standing.value.isLive && session.value?.namespaces === null;
  useEffect(() => {
    if (!isLive) return;
    const look = async (): Promise<void> => {
      const [overview, workers] = await Promise.all([api.overview(), traffic.workers.peek().length ? api.workers() : []]);
      const all = [...overview.captures.flatMap((each) => (each.counters ? [each.counters] : [])), ...workers.flatMap((each) => each.captures)];
      setCounted({ dropped: all.reduce((sum, each) => sum + each.dropped, 0), lost: all.reduce((sum, each) => sum + each.lost, 0) });
    };
    const tell = (): void => void look().catch(() => undefined); // the next look may be answered
    tell();
    const timer = setInterval(tell, DROPS_MS);
    return () => clearInterval(timer);
  }, [isLive]);
  const all = counted.dropped + counted.lost;
  return all ? <span class="warn" role="status" title={packetText.droppedTitle(counted.dropped, counted.lost)}>{packetText.dropped(all)}</span> : null;
}

function Foot() {
  const standing = traffic.standing.value;
  const rows = traffic.count.value;
  const canGoOn = ["cancelled", "limit", "partial"].includes(standing.phase);
  const share = standing.total ? Math.min(1, standing.read / standing.total) : 0;
  const [said, setSaid] = useState("");
  const words = standingText(standing, rows, traffic.trimmedRows.value);
  // Screen readers hear of it at most every five seconds, and at its end.
  useEffect(() => {
    const timer = setTimeout(() => setSaid(words), traffic.isRunning.value ? 5000 : 300);
    return () => clearTimeout(timer);
  }, [words]);
  return (
    <footer class="foot">
      <span class="foot-words" data-phase={standing.phase} data-kfl={traffic.shown.value}>{words}</span>
      <span class="hidden-text" role="status" aria-live="polite">{said}</span>
      {traffic.isRunning.value && <progress aria-label={texts.shareRead} max={1} {...(share ? { value: share } : {})} />}
      {traffic.isRunning.value && <button type="button" class="small" onClick={() => traffic.stop()}>{texts.cancel}</button>}
      {canGoOn && <button type="button" class="small" onClick={() => traffic.more()} title={texts.upToMore(count(LIMIT))}>{texts.goOn}</button>}
      {standing.problems.length > 0 && (
        <details class="problems"><summary>{units.problem(standing.problems.length)}</summary><ul>{standing.problems.map((each) => <li key={each}>{each}</li>)}</ul></details>
      )}
      <Drops />
      <span class="grow" />
      {marks.value.length > 0 && <button type="button" class="small" onClick={() => (dialog.value = "compare")} disabled={marks.value.length < 2}>{texts.marked(marks.value.length)}{marks.value.length > 1 ? texts.compare : ""}</button>}
      {session.value?.namespaces === null && <button type="button" class="small" title={texts.whatTheQueryRead} onClick={() => (dialog.value = "explain")}>{texts.explain}</button>}
      <button type="button" class="small" onClick={() => (dialog.value = "columns")}><Icon name="columns" />{texts.columns}</button>
      {(may("raw") || may("read")) && <button type="button" class="small" onClick={() => (dialog.value = "export")}><Icon name="download" />{texts.export}</button>}
      <button type="button" class="small" aria-pressed={traffic.following.value} onClick={() => { setFollow(!traffic.following.value); say(traffic.following.value ? texts.followingTheEnd : texts.paused); }}>
        <Icon name={traffic.following.value ? "pause" : "play"} />{traffic.following.value ? texts.pause : texts.follow}
      </button>
    </footer>
  );
}
