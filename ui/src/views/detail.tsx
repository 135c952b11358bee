/** One entry: what it is, both halves as their renderers show them, its bytes, its connection. */

import { useEffect, useState } from "preact/hooks";
import { ApiError, api, url } from "../core/api";
import { bytes, hue, latency, moment, verdict, visible } from "../core/format";
import { copy, dialog, go, include, marks, may, toggleMark, zone } from "../core/state";
import { HALVES, type Entry, type Half, type Renderer, type Section, type Side } from "../core/types";
import { equals } from "../core/kfl";
import { denial, proposed } from "../core/policies";
import { Icon } from "../parts/icon";
import { Hex, Code, SectionView } from "../parts/sections";
import { Follow } from "../parts/follow";
import { Packets } from "../parts/packets";
import { shown, traffic } from "../shared";
import { texts } from "../text/detail";

const TITLES: Readonly<Record<Half, string>> = { request: "Request", response: "Response", event: "Event", data: "Data" };
type Tab = "shown" | "bytes" | "packets" | "stream" | "json";

export function DetailPane({ id }: { id: string }) {
  const [entry, setEntry] = useState<Entry | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [tab, setTab] = useState<Tab>("shown");
  const [renderer, setRenderer] = useState("");
  const [attempt, setAttempt] = useState(0);
  const again = (): void => setAttempt((before) => before + 1);
  const isConnected = traffic.link.value === "open";

  useEffect(() => setRenderer(""), [id]);
  useEffect(() => {
    let isCurrent = true;
    // Walking through the list by key asks only for where one stops.
    const timer = setTimeout(() => {
      api.entry(id, renderer).then(
        (found) => { if (isCurrent) { setEntry(found); setError(null); } },
        (failed: ApiError) => { if (isCurrent) { setError(failed); setEntry(null); } },
      );
    }, entry ? 40 : 0);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [id, renderer, attempt]);
  useEffect(() => { if (isConnected && error?.status === 0) again(); }, [isConnected]);

  const close = (): void => {
    go({ entry: "" });
    shown.list?.focus();
  };
  return (
    <aside class="detail" tabIndex={-1} aria-label={texts.entry} aria-busy={entry?.data.id !== id && !error}>
      {error && <Missing id={id} error={error} again={again} close={close} />}
      {!error && !entry && <p class="empty">{texts.dissecting}</p>}
      {!error && entry && (
        <>
          <Head entry={entry} close={close} />
          <div class="tabs">
            <div role="tablist" aria-label={texts.formsOfTheEntry}>
            <TabButton name="shown" now={tab} set={setTab}>{entry.representation.event?.length ? texts.event : texts.requestAndResponse}</TabButton>
            {may("raw") && <TabButton name="bytes" now={tab} set={setTab}>{texts.bytes}</TabButton>}
            {may("raw") && <TabButton name="packets" now={tab} set={setTab}>{texts.packets}</TabButton>}
            {may("raw") && <TabButton name="stream" now={tab} set={setTab}>{texts.stream}</TabButton>}
            <TabButton name="json" now={tab} set={setTab}>{texts.json}</TabButton>
            </div>
            <span class="grow" />
            <Renderers id={entry.data.id} now={renderer} set={setRenderer} />
          </div>
          <div class="detail-body" role="tabpanel" tabIndex={0} aria-label={tab}>
            {tab === "shown" && <Halves entry={entry} />}
            {tab === "bytes" && <Bytes key={entry.data.id} entry={entry} />}
            {tab === "packets" && <Packets key={entry.data.id} id={entry.data.id} transport={entry.data.networkProps?.transport ?? ""} />}
            {tab === "stream" && <Follow id={entry.data.id} />}
            {tab === "json" && <Code text={JSON.stringify(entry.data, null, 2)} isJson />}
          </div>
        </>
      )}
    </aside>
  );
}

function TabButton({ name, now, set, children }: { name: Tab; now: Tab; set: (tab: Tab) => void; children: string }) {
  return <button type="button" role="tab" aria-selected={now === name} tabIndex={now === name ? 0 : -1} onClick={() => set(name)} onKeyDown={(event) => {
    const by = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key] as "nextElementSibling" | undefined;
    const other = by && event.currentTarget[by];
    if (other instanceof HTMLElement && other.role === "tab") { other.click(); other.focus(); }
  }}>{children}</button>;
}

function Missing({ id, error, again, close }: { id: string; error: ApiError; again: () => void; close: () => void }) {
  const words: Record<number, string> = {
    404: texts.thereIsNoSuch,
    410: texts.thisEntryHasExpired,
    403: texts.youMayNotSee,
  };
  return (
    <div class="empty" role="alert">
      <h2>{error.status === 410 ? texts.expired : texts.notShown}</h2>
      <p>{words[error.status] ?? error.message}</p>
      {words[error.status] && <p class="dim">{error.message}</p>}
      <p class="dim"><code>{id}</code></p>
      <p class="buttons">
        {!words[error.status] && <button type="button" onClick={again}>{texts.tryAgain}</button>}
        <button type="button" onClick={close}>{texts.close}</button>
      </p>
    </div>
  );
}

const address = (side: Side): string => `${side.ip.includes(":") ? `[${side.ip}]` : side.ip}${side.port && side.port !== "0" ? `:${side.port}` : ""}`;

function Head({ entry, close }: { entry: Entry; close: () => void }) {
  const { base, data, protocol } = entry;
  const { id } = data;
  const [beside, setBeside] = useState<{ previous: string | null; next: string | null }>({ previous: null, next: null });
  useEffect(() => {
    let isCurrent = true;
    api.neighbours(id).then((found) => { if (isCurrent) setBeside(found); }, () => setBeside({ previous: null, next: null }));
    return () => { isCurrent = false; };
  }, [id]);
  const isMarked = marks.value.includes(id);
  const state = verdict(base.proto.abbr, base.status, data.error !== null);
  const net = data.networkProps;
  const deny = may("firewall") ? denial(data) : "";
  return (
    <header class="detail-head">
      <div class="detail-line">
        <span class="chip" data-hue={hue(protocol.abbr.replace(/\W/g, ""))} title={`${protocol.longName} ${protocol.version}`}>{protocol.abbr}</span>
        <h2><span class="method">{visible(base.method)}</span> {visible(base.summary)}</h2>
        <span class="grow" />
        <button type="button" class="icon" data-do="previous" disabled={!beside.previous} title={texts.previousOfTheConnection} aria-label={texts.previousEntryOfThe} onClick={() => beside.previous && go({ entry: beside.previous }, true)}><Icon name="up" /></button>
        <button type="button" class="icon" data-do="next" disabled={!beside.next} title={texts.nextOfTheConnection} aria-label={texts.nextEntryOfThe} onClick={() => beside.next && go({ entry: beside.next }, true)}><Icon name="down" /></button>
        <button type="button" class="icon" aria-pressed={isMarked} title={texts.markM} aria-label={texts.markThisEntry} onClick={() => toggleMark(id)}><Icon name="star" /></button>
        <button type="button" class="icon" title={texts.copyALink} aria-label={texts.copyALinkTo} onClick={() => void copy(location.href)}><Icon name="link" /></button>
        {may("raw") && <a class="icon" href={url(`entries/${encodeURIComponent(id)}/pcap`)} download={`${data.stream}.pcapng`} title={texts.connectionAsPcapng} aria-label={texts.downloadTheConnectionAs}><Icon name="download" /></a>}
        <button type="button" class="icon" title={texts.closeEsc} aria-label={texts.close} onClick={close}><Icon name="close" /></button>
      </div>
      <div class="facts">
        {(base.status !== 0 || state === "bad") && <span class="fact"><span class="status" data-verdict={state}>{base.status || texts.error}</span></span>}
        <span class="fact" title={texts.utc(moment(data.timestamp, "utc"))}>{moment(data.timestamp, zone.value)}</span>
        {data.elapsedTime > 0 && <span class="fact">{latency(data.elapsedTime)}</span>}
        <span class="fact">{bytes(data.size || data.requestSize + data.responseSize)}</span>
        <span class="fact mono">{address(data.src)} → {address(data.dst)}</span>
        {data.tls && <span class="fact">{texts.decrypted}</span>}
        {(data.tags ?? []).map((tag) => <span key={tag} class="fact tag">{tag}</span>)}
        {net && net.retransmissions > 0 && <span class="fact warn">{net.retransmissions} {texts.retransmitted}</span>}
        {net && net.gaps > 0 && <span class="fact warn">{net.gaps} {texts.gaps}</span>}
        {net && net.rttUs > 0 && <span class="fact" title={texts.roundTripOfThe}>{texts.rtt} {latency(net.rttUs / 1000)}</span>}
        {data.plugin && <span class="fact" title={texts.dissectedByThisPlugin}>{data.plugin}</span>}
        <button type="button" class="link-button" onClick={() => include(equals("stream", data.stream))}>{texts.onlyThisConnection}</button>
        {deny && <button type="button" class="link-button" title={texts.denyTitle} onClick={() => { proposed.value = deny; go({ view: "firewall" }); }}>{texts.deny}</button>}
        {marks.value.length > 1 && <button type="button" class="link-button" onClick={() => (dialog.value = "compare")}>{texts.compareTheMarked}</button>}
      </div>
      {data.error && <p class="entry-error" role="note"><b>{errorTitle(data.error.type)}</b> {data.error.msg}</p>}
    </header>
  );
}

/** Why a half is missing, in words. */
function errorTitle(type: string): string {
  switch (type) {
    case "pair-not-found": return texts.theOtherHalfWas;
    case "timeout": return texts.thereWasNoAnswer;
    case "connection": return texts.theConnectionEnded;
    case "dissection": return texts.itCouldNotBe;
    default: return `${type}:`;
  }
}

function Halves({ entry }: { entry: Entry }) {
  const [selector, setSelector] = useState("");
  const linked = { selector, point: setSelector };
  const halves = HALVES.filter((half) => (entry.representation[half] ?? []).length > 0);
  const isPair = entry.representation.request?.length && !entry.representation.event?.length;
  if (!halves.length) return <p class="empty">{texts.noRendererHadAnything}</p>;
  return (
    <div class="halves">
      {halves.map((half) => (
        <section key={half} class="half" aria-label={TITLES[half]}>
          <h3>{TITLES[half]} <span class="dim">{half === "request" ? bytes(entry.data.requestSize) : half === "response" ? bytes(entry.data.responseSize) : ""}</span></h3>
          {(entry.representation[half] ?? []).map((section: Section, i) => <SectionView key={`${entry.data.id}${i}`} section={section} linked={linked} />)}
        </section>
      ))}
      {isPair && !entry.representation.response?.length ? <section class="half" aria-label={texts.response}><h3>{texts.response}</h3><p class="dim">{entry.data.error ? `${errorTitle(entry.data.error.type)} ${entry.data.error.msg}` : texts.noneThisMessageHas}</p></section> : null}
    </div>
  );
}

/** Which plugins can show the entry, and how long each took. */
function Renderers({ id, now, set }: { id: string; now: string; set: (name: string) => void }) {
  const [known, setKnown] = useState<readonly Renderer[]>([]);
  useEffect(() => {
    let isCurrent = true;
    api.renderers(id).then((found) => { if (isCurrent) setKnown(found.filter((each) => each.priority >= 0)); }, () => setKnown([]));
    return () => { isCurrent = false; };
  }, [id]);
  if (!known.length) return null;
  const title = (each: Renderer): string => `${each.name.replace(/^.*\./, "")} · ${latency(each.milliseconds) || "0 ms"}`;
  const [first] = known;
  if (known.length === 1 && first) return <span class="made" title={texts.shownByThisRenderer}>{title(first)}</span>;
  return (
    <select class="small-select" aria-label={texts.renderer} value={now || first?.name} onChange={(event) => set(event.currentTarget.value === first?.name ? "" : event.currentTarget.value)}>
      {known.map((each) => <option key={each.name} value={each.name}>{title(each)}</option>)}
    </select>
  );
}

function Bytes({ entry }: { entry: Entry }) {
  const halves = HALVES.filter((half) => half !== "data" && (entry.representation[half] ?? []).length > 0);
  return <div class="halves">{halves.map((half) => <Raw key={half} id={entry.data.id} half={half} />)}</div>;
}

function Raw({ id, half }: { id: string; half: Half }) {
  const [data, setData] = useState<Uint8Array | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    api.raw(id, half).then(setData, (failed: Error) => setError(failed.message));
  }, [id, half]);
  return (
    <section class="half" aria-label={texts.bytesOfThe(half)}>
      <h3>{TITLES[half]} <span class="dim">{data ? bytes(data.length) : ""}</span></h3>
      {error && <p class="bad">{error}</p>}
      {data && <Hex data={data} section={null} linked={null} />}
    </section>
  );
}

