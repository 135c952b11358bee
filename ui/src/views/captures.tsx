/** What the store holds, imports by drag and drop, snapshots, verification, retention. */

import { useEffect, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { api } from "../core/api";
import { bytes, count, latency, moment } from "../core/format";
import { nanoseconds } from "../core/span";
import { dialog, go, may, place, say, zone } from "../core/state";
import type { Capture, ImportReport, Info, Overview, Pruned, Snapshot } from "../core/types";
import { Dialog } from "../parts/dialog";
import { Icon } from "../parts/icon";
import { traffic } from "../shared";
import { packets as packetText } from "../text/workers";
import { texts } from "../text/captures";
import { units } from "../text/units";

interface Upload {
  readonly key: number;
  readonly name: string;
  readonly size: number;
  readonly sent: number;
  readonly state: "waiting" | "running" | "done" | "failed" | "cancelled";
  readonly said: string;
  readonly problems: readonly string[];
  readonly stop: AbortController;
}

/** Uploads go on while one looks at other views. */
const uploads = signal<readonly Upload[]>([]);
const storeChanged = signal(0);
let keys = 0;
let isBusy = false;

function patch(key: number, change: Partial<Upload>): void {
  uploads.value = uploads.value.map((each) => (each.key === key ? { ...each, ...change } : each));
}

function reportText(report: ImportReport): string {
  const dropped = report.dropped ? texts.keptOutByPlugins(units.packet(report.dropped)) : "";
  const none = report.packets ? "" : report.error || texts.nothingNew;
  return `${units.packet(report.packets)}, ${units.connection(report.flows)}${dropped}${none}`;
}

/** One file at a time: the store has one writer. */
async function work(files: Map<number, File>): Promise<void> {
  if (isBusy) return;
  isBusy = true;
  for (;;) {
    const next = uploads.value.find((each) => each.state === "waiting" && files.has(each.key));
    const file = next && files.get(next.key);
    if (!next || !file) break;
    patch(next.key, { state: "running" });
    try {
      const report = await api.upload(file, (sent) => patch(next.key, { sent }), next.stop.signal);
      patch(next.key, { state: report.state === "running" ? "done" : report.state, sent: file.size, said: report.error || reportText(report), problems: report.problems ?? [] });
      traffic.rerun();
    } catch (error) {
      const isCancelled = error instanceof DOMException;
      patch(next.key, { state: isCancelled ? "cancelled" : "failed", said: isCancelled ? texts.importCancelled : (error as Error).message });
    }
    files.delete(next.key);
    storeChanged.value++;
  }
  isBusy = false;
}

const pending = new Map<number, File>();
function take(files: Iterable<File>): void {
  for (const file of files) {
    const key = ++keys;
    pending.set(key, file);
    uploads.value = [...uploads.value, { key, name: file.name, size: file.size, sent: 0, state: "waiting", said: "", problems: [], stop: new AbortController() }];
  }
  void work(pending);
}

export function CapturesView() {
  const [info, setInfo] = useState<Info | null>(null);
  const [overview, setOverview] = useState<Overview | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    api.info().then(setInfo, (failed: Error) => setError(failed.message));
    api.overview().then(setOverview, () => setOverview(null));
  }, [storeChanged.value]);
  return (
    <div class="page"><div class="page-in">
      {error && <p class="bad" role="alert">{error}</p>}
      {may("import") && <Import />}
      {info && <Store info={info} compression={overview?.compression ?? null} />}
      {overview && <List captures={overview.captures} />}
      {may("import") && <Snapshots />}
    </div></div>
  );
}

function Import() {
  const [isOver, setOver] = useState(false);
  const chooser = useRef<HTMLInputElement>(null);
  return (
    <section class="card" aria-labelledby="import-title">
      <h2 id="import-title">{texts.import}</h2>
      <div class="drop" data-over={isOver || undefined}
        onDragOver={(event) => { event.preventDefault(); setOver(true); }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => { event.preventDefault(); setOver(false); take(event.dataTransfer?.files ?? []); }}>
        <p>{texts.dropHere}</p>
        <button type="button" class="primary" onClick={() => chooser.current?.click()}><Icon name="upload" />{texts.chooseFiles}</button>
        <input ref={chooser} type="file" multiple hidden aria-label={texts.capturesToImport} onChange={(event) => { take(event.currentTarget.files ?? []); event.currentTarget.value = ""; }} />
      </div>
      {uploads.value.length > 0 && <ul class="imports" aria-label={texts.imports}>{uploads.value.map((each) => <UploadRow key={each.key} upload={each} />)}</ul>}
    </section>
  );
}

function UploadRow({ upload }: { upload: Upload }) {
  const { state, sent, size, said } = upload;
  const words = state === "running" ? (sent < size ? `sending · ${bytes(sent)} of ${bytes(size)}` : texts.readingThePackets) : state === "waiting" ? texts.waitingForOther : said;
  return (
    <li data-state={state}>
      <span>{upload.name} <span class="dim">{bytes(size)}</span></span>
      {state === "running" ? <progress aria-label={texts.importOf(upload.name)} max={size || 1} {...(sent < size ? { value: sent } : {})} /> : <span class="state" data-state={state === "done" ? "running" : state === "waiting" ? "disabled" : "failed"}>{state}</span>}
      {state === "running" || state === "waiting"
        ? <button type="button" class="small" onClick={() => { upload.stop.abort(); if (state === "waiting") patch(upload.key, { state: "cancelled" }); }}>{texts.cancel}</button>
        : state === "done" ? <button type="button" class="small" onClick={() => go({ view: "traffic", kfl: "", since: "", until: "", entry: "" })}>{texts.lookAtIt}</button> : <span />}
      <span class={`said ${state === "failed" ? "bad" : ""}`} role="status">{words}</span>
      {upload.problems.length > 0 && <ul class="said">{upload.problems.map((each) => <li key={each}>{each}</li>)}</ul>}
    </li>
  );
}

const ms = (time: string | null): number => (time ? Date.parse(time) : Number.NaN);

function Store({ info, compression }: { info: Info; compression: number | null }) {
  const [verified, setVerified] = useState("");
  const [isPrune, setPrune] = useState(false);
  const verify = async (): Promise<void> => {
    setVerified(texts.readingEveryByte);
    try {
      const { sound, segments, bytes: size, findings } = await api.verify();
      setVerified(sound ? `Sound: ${units.segment(segments)}, ${bytes(size)} authenticated` : texts.notSound(findings.map((each) => Object.values(each).join(" ")).join("; ")));
    } catch (error) {
      setVerified((error as Error).message);
    }
  };
  return (
    <section class="card" aria-labelledby="store-title">
      <h2 id="store-title">{texts.store}</h2>
      <dl class="tiles">
        <div><dt>{texts.packets}</dt><dd>{count(info.packets)}</dd></div>
        <div><dt>{texts.connections}</dt><dd>{count(info.flows)}</dd></div>
        <div><dt>{texts.captured}</dt><dd>{bytes(info.captured_bytes)}</dd></div>
        <div><dt>{texts.onDiskEncrypted}</dt><dd>{bytes(info.disk_bytes)}{compression ? <span class="dim"> 1/{compression.toFixed(1)}</span> : null}</dd></div>
        <div class="minor"><dt>{texts.from}</dt><dd>{moment(ms(info.first), zone.value) || "–"}</dd></div>
        <div class="minor"><dt>{texts.to}</dt><dd>{moment(ms(info.last), zone.value) || "–"}</dd></div>
      </dl>
      <p class="dim">{texts.storePlace(units.segment(info.segments), <code>{info.path}</code>, units.key(info.recipients.length), info.recipients.map((each) => <code key={each} title={each}>{each.slice(0, 12)}… </code>))}</p>
      {info.problems.map((each) => <p key={each} class="bad">{each}</p>)}
      <p class="buttons">
        <button type="button" onClick={() => { go({ view: "traffic" }); dialog.value = "export"; }}><Icon name="download" />{texts.export}</button>
        {may("import") && <button type="button" onClick={() => void verify()}>{texts.verify}</button>}
        {may("manage") && <button type="button" class="danger" onClick={() => setPrune(true)}>{texts.prune}</button>}
        {verified && <span role="status" class={verified.startsWith("Not") ? "bad" : "dim"}>{verified}</span>}
      </p>
      {isPrune && <Prune close={() => setPrune(false)} />}
    </section>
  );
}

/** Numbers first: what would go, before anything goes. */
function Prune({ close }: { close: () => void }) {
  const [days, setDays] = useState("30");
  const [plan, setPlan] = useState<Pruned | null>(null);
  const [error, setError] = useState("");
  const limits = (dry_run: boolean) => ({ max_age_seconds: Math.round(Number(days) * 86_400), dry_run });
  const run = async (dry: boolean): Promise<void> => {
    try {
      const done = await api.prune(limits(dry));
      setError("");
      if (dry) return setPlan(done);
      say(texts.deletedFreed(units.segment(done.segments.length), bytes(done.freed_bytes)));
      storeChanged.value++;
      traffic.rerun();
      close();
    } catch (failed) {
      setError((failed as Error).message);
    }
  };
  return (
    <Dialog title={texts.deleteOldSegments} onClose={close}>
      <p><label>{texts.olderThanDays(<input type="number" min="0" step="any" value={days} onInput={(event) => { setDays(event.currentTarget.value); setPlan(null); }} />)}</label></p>
      {error && <p class="bad" role="alert">{error}</p>}
      {plan && <p>{plan.segments.length ? texts.pruneWould(units.segment(plan.segments.length), units.packet(plan.packets), bytes(plan.freed_bytes), bytes(plan.kept_bytes)) : texts.nothingIsThatOld}</p>}
      <p class="buttons">
        {plan && plan.segments.length > 0 ? <button type="button" class="danger" onClick={() => void run(false)}>{texts.delete} {units.segment(plan.segments.length)}</button> : <button type="button" class="primary" onClick={() => void run(true)}>{texts.showWhatWouldGo}</button>}
        <button type="button" onClick={close}>{texts.cancel}</button>
      </p>
    </Dialog>
  );
}

const bound = (time: string | null, add: bigint): string => (time ? String(nanoseconds(time) + add) : "");

/** One capture: its numbers, and what snapshots keep of it, before anything goes. */
function DeleteCapture({ capture, close }: { capture: Capture; close: () => void }) {
  const [plan, setPlan] = useState<Pruned | null>(null);
  const [error, setError] = useState("");
  const title = capture.name || "live";
  const ask = (dry_run: boolean) => api.prune({ capture: { name: capture.name, sha256: capture.sha256 }, dry_run });
  useEffect(() => void ask(true).then(setPlan, (failed: Error) => setError(failed.message)), []);
  const remove = async (): Promise<void> => {
    try {
      const done = await ask(false);
      say(texts.captureDeleted(title, units.packet(done.packets), bytes(done.freed_bytes)));
      storeChanged.value++;
      traffic.rerun();
      close();
    } catch (failed) {
      setError((failed as Error).message);
    }
  };
  const keepers = Object.keys(plan?.kept_by ?? {});
  return (
    <Dialog title={texts.deleteNamed(title)} onClose={close}>
      {error && <p class="bad" role="alert">{error}</p>}
      {!plan && !error && <p class="dim">{texts.addingUp}</p>}
      {plan && <p>{plan.segments.length ? texts.captureWould(units.packet(plan.packets), units.segment(plan.segments.length), bytes(plan.freed_bytes)) : texts.nothingCanGo}</p>}
      {keepers.length > 0 && <p class="warn">{texts.keptBySnapshots} {keepers.map((name) => `${name} (${units.segment(plan?.kept_by[name]?.length ?? 0)})`).join(", ")}.</p>}
      <p class="buttons">
        {plan && plan.segments.length > 0 && <button type="button" class="danger" onClick={() => void remove()}>{texts.delete} {title}</button>}
        <button type="button" onClick={close}>{texts.cancel}</button>
      </p>
    </Dialog>
  );
}

function List({ captures }: { captures: readonly Capture[] }) {
  const [doomed, setDoomed] = useState<Capture | null>(null);
  if (!captures.length) return null;
  return (
    <section class="card" aria-labelledby="list-title">
      <h2 id="list-title">{texts.whatWasImported}</h2>
      <div class="scroll-x" tabIndex={0} role="region" aria-label={texts.captures}>
        <table class="grid">
          <thead><tr><th scope="col">{texts.name}</th><th scope="col" class="n">{texts.packets}</th><th scope="col">{texts.from}</th><th scope="col" class="n">{texts.lasts}</th><th scope="col">{texts.state}</th><th scope="col"><span class="hidden-text">{texts.actions}</span></th></tr></thead>
          <tbody>
            {captures.map((each, i) => (
              <tr key={i}>
                <td title={each.sha256 && texts.sha256(each.sha256)}>{each.name || texts.live}</td>
                <td class="n">{count(each.packets)}</td>
                <td>{moment(ms(each.first), zone.value)}</td>
                <td class="n">{latency(ms(each.last) - ms(each.first))}</td>
                <td>{each.complete ? texts.complete : <span class="warn">{texts.cutShort}</span>}{each.lost_packets ? <span class="warn">{texts.lostByTheCapturer(units.packet(each.lost_packets))}</span> : null}{each.counters && <div class="dim">{packetText.counters(each.counters)}</div>}</td>
                <td class="n"><button type="button" class="small" onClick={() => go({ view: "traffic", kfl: "", entry: "", since: bound(each.first, 0n), until: bound(each.last, 1n) })}>{texts.itsTime}</button>{may("manage") && <> <button type="button" class="small danger" aria-label={texts.deleteNamedAsk(each.name || texts.live)} onClick={() => setDoomed(each)}>{texts.deleteAsk}</button></>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {doomed && <DeleteCapture capture={doomed} close={() => setDoomed(null)} />}
    </section>
  );
}

function Snapshots() {
  const [list, setList] = useState<readonly Snapshot[]>([]);
  const [name, setName] = useState("");
  const load = (): void => void api.snapshots().then(setList, () => setList([]));
  useEffect(load, [storeChanged.value]);
  const { since, until } = place.value;
  const act = async (what: Promise<unknown>): Promise<void> => {
    try {
      await what;
      load();
    } catch (error) {
      say((error as Error).message, true);
    }
  };
  return (
    <section class="card" aria-labelledby="snapshots-title">
      <h2 id="snapshots-title">{texts.snapshots}</h2>
      <p class="dim">{texts.aboutSnapshots}</p>
      {list.length > 0 && <ul class="columns-list">{list.map((each) => (
        <li key={each.name}><span><b>{each.name}</b> <span class="dim">{texts.fromTo(moment(ms(each.since), zone.value), moment(ms(each.until), zone.value))}</span></span>
          {may("manage") && <button type="button" class="small" onClick={() => { if (confirm(texts.deleteSnapshot(each.name))) void act(api.removeSnapshot(each.name)); }}>{texts.delete}</button>}</li>
      ))}</ul>}
      <form class="buttons" onSubmit={(event) => { event.preventDefault(); void act(api.addSnapshot(name, since, until)); setName(""); }}>
        <input aria-label={texts.nameOfTheSnapshot} placeholder={texts.snapshotExample} pattern="[A-Za-z0-9][A-Za-z0-9._\-]{0,62}" required value={name} onInput={(event) => setName(event.currentTarget.value)} />
        <button type="submit" disabled={!since || !until || !name}>{texts.keepTheChosenTime}</button>
        {(!since || !until) && <span class="dim">{texts.noTimeIsChosen}</span>}
      </form>
    </section>
  );
}
