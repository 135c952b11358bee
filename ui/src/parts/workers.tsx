/** The workers: who answers, who is late or gone since when, their clocks, disks and captures; an administrator adds and removes them. */

import { useEffect, useState } from "preact/hooks";
import { api } from "../core/api";
import { may, say } from "../core/state";
import type { Worker, WorkerCapture, WorkerChosen } from "../core/types";
import { traffic } from "../shared";
import { packets, workers as text } from "../text/workers";
import { Dialog } from "./dialog";

const LOOK_MS = 2_000;
const CLOCK_S = 2; // as the hub's /health takes it

export function WorkersDialog() {
  return <Dialog title={text.title} wide><WorkerTable /></Dialog>;
}

const nameOf = (worker: Worker): string => worker.node ?? worker.url;

export function WorkerTable() {
  const [rows, setRows] = useState<readonly Worker[] | null>(null);
  const [error, setError] = useState("");
  const canSet = may("manage");
  useEffect(() => {
    const load = (): void => void api.workers().then((found) => { setRows(found); setError(""); }, (failed: Error) => setError(failed.message));
    load();
    const timer = setInterval(load, LOOK_MS);
    return () => clearInterval(timer);
  }, [traffic.workers.value]);
  const set = async (wanted: readonly { url: string; tls: string }[], done: string): Promise<boolean> => {
    try {
      setRows(await api.setWorkers(wanted));
      say(done);
      traffic.rerun();
      return true;
    } catch (failed) {
      say((failed as Error).message, true);
      return false;
    }
  };
  const settings = (rows ?? []).filter((each) => each.is_set).map(({ url, tls }) => ({ url, tls }));
  if (error) return <p class="bad" role="alert">{error}</p>;
  return (
    <>
      {rows?.length === 0 && <p>{text.none}</p>}
      {rows && rows.length > 0 && (
        <div class="scroll-x" tabIndex={0} role="region" aria-label={text.title}>
          <table class="grid">
            <thead><tr><th scope="col">{text.columns.worker}</th><th scope="col">{text.columns.state}</th><th scope="col">{text.columns.version}</th><th scope="col">{text.columns.clock}</th><th scope="col">{text.columns.store}</th><th scope="col">{text.columns.captured}</th><th scope="col"><span class="hidden-text">{text.columns.actions}</span></th></tr></thead>
            <tbody>{rows.map((row) => (
              <tr key={row.url}>
                <td title={row.url}>{nameOf(row)}</td>
                <td><span class="state" data-state={row.state}>{text.since(row.state, Date.now() / 1000 - row.since)}</span>{row.why && <div class="bad">{row.why}</div>}{row.refuses && <div class="bad">{text.serves(row.refuses)}</div>}</td>
                <td>{row.version}</td>
                <td>{row.clock_off_seconds === null ? "" : Math.abs(row.clock_off_seconds) > CLOCK_S ? <span class="warn" title={text.clockOff(row.clock_off_seconds)}>{text.clock(row.clock_off_seconds)}</span> : text.clock(row.clock_off_seconds)}</td>
                <td>{row.segments === null ? "" : text.store(row.segments, row.store_bytes ?? 0, row.disk_free_bytes ?? 0)}</td>
                <td>{row.captures.length ? row.captures.map((each) => <Capture key={each.interface} capture={each} />) : <span class="dim">{text.noCapture}</span>}</td>
                <td class="n">{row.is_set ? canSet && <button type="button" class="small danger" aria-label={text.removeName(nameOf(row))} onClick={() => void set(settings.filter((each) => each.url !== row.url), text.removed(nameOf(row)))}>{text.remove}</button> : <span class="dim">{text.byOption}</span>}</td>
              </tr>
            ))}</tbody>
          </table>
        </div>
      )}
      {rows && canSet && <Add add={(wanted) => set([...settings, wanted], text.added(wanted.url))} />}
    </>
  );
}

function Capture({ capture }: { capture: WorkerCapture }) {
  const isWell = capture.state === "running" || capture.state === "starting";
  return (
    <div>
      {packets.seen(capture.interface, packets.counters(capture))}
      {!isWell && <span class="bad"> {text.captureTrouble(capture.state)}</span>}
      {capture.chosen && <Chosen chosen={capture.chosen} />}
      {capture.restarts > 0 && <span class="warn"> {text.restarts(capture.restarts)}</span>}
    </div>
  );
}

function Chosen({ chosen }: { chosen: WorkerChosen }) {
  const kept = [...(chosen.pods === null ? [] : [text.pods(chosen.pods)]), ...chosen.schedules.map(text.schedule)];
  return (
    <div>
      {chosen.why ? <span class="warn">{text.capturesNothing(chosen.why)}</span> : <span class="dim">{kept.join(", ")}</span>}
      {chosen.left_out > 0 && <span class="bad"> {text.leftOut(chosen.left_out)}</span>}
      {chosen.waiting > 0 && <span class="dim"> {text.waiting(chosen.waiting)}</span>}
      {chosen.sharing > 0 && <span class="warn"> {text.sharing(chosen.sharing)}</span>}
    </div>
  );
}

function Add({ add }: { add: (wanted: { url: string; tls: string }) => Promise<boolean> }) {
  const [url, setUrl] = useState("");
  const [tls, setTls] = useState("");
  return (
    <form class="buttons" aria-label={text.add} onSubmit={(event) => { event.preventDefault(); void add({ url, tls }).then((done) => { if (done) { setUrl(""); setTls(""); } }); }}>
      <label>{text.url} <input type="url" required placeholder={text.urlHint} value={url} onInput={(event) => setUrl(event.currentTarget.value)} /></label>
      <label>{text.tls} <input placeholder={text.tlsHint} value={tls} onInput={(event) => setTls(event.currentTarget.value)} /></label>
      <button type="submit" disabled={!url}>{text.addButton}</button>
    </form>
  );
}
