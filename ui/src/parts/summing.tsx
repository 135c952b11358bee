/** A sum that grows while one looks: how far it is, stopped, or begun anew. Gone with the view or the filter it was for. */

import { useEffect, useState } from "preact/hooks";
import { count, moment } from "../core/format";
import { type Told, share } from "../core/lines";
import { zone } from "../core/state";
import { texts } from "../text/summing";

export interface Summing<T> {
  readonly answer: T | null;
  readonly error: string;
  readonly told: Told<T> | null; // null: nothing is being added up
  readonly stoppedAt: Told<T> | null; // how far it was when somebody stopped it
  readonly stop: () => void;
  readonly again: () => void;
}

type Ask<T> = (told: (told: Told<T>) => void, signal: AbortSignal) => Promise<T>;

/** Ask whenever `inputs` change; null: not yet. What was found before stays until there is something new. */
export function useSum<T>(ask: Ask<T> | null, inputs: readonly unknown[]): Summing<T> {
  const [answer, setAnswer] = useState<T | null>(null);
  const [error, setError] = useState("");
  const [told, setTold] = useState<Told<T> | null>(null);
  const [stoppedAt, setStoppedAt] = useState<Told<T> | null>(null);
  const [round, setRound] = useState(0);
  const [stop, setStop] = useState<() => void>(() => () => undefined);
  useEffect(() => {
    if (!ask) {
      setTold(null);
      return undefined;
    }
    const leaving = new AbortController();
    let latest: Told<T> = { op: "progress", bytes_read: 0, bytes_total: 0, counted_until: "", seconds: 0 };
    setError("");
    setStoppedAt(null);
    setTold(latest);
    setStop(() => () => {
      leaving.abort();
      setTold(null);
      setStoppedAt(latest);
    });
    ask((now) => {
      if (leaving.signal.aborted) return;
      latest = now;
      setTold(now);
      if (now.answer !== undefined) setAnswer(now.answer);
    }, leaving.signal).then(
      (whole) => {
        if (leaving.signal.aborted) return;
        setAnswer(whole);
        setTold(null);
      },
      (failed: Error) => {
        if (leaving.signal.aborted) return;
        setError(failed.message);
        setAnswer(null);
        setTold(null);
      },
    );
    return () => leaving.abort();
  }, [...inputs, round]);
  return { answer, error, told, stoppedAt, stop, again: () => setRound((before) => before + 1) };
}

const SHOWN_AFTER_S = 0.4; // what is over at once has no bar

/** How far it is with a button that stops it; or where it was stopped, with one that counts everything. */
export function SumProgress<T>({ sum }: { sum: Summing<T> }) {
  const { told, stoppedAt } = sum;
  if (told) {
    const done = share(told);
    const percent = done === null ? null : Math.floor(100 * done);
    return (
      <span class="summing">
        <progress aria-label={texts.adding} max={1} {...(done === null ? {} : { value: done })} />
        {told.seconds >= SHOWN_AFTER_S && percent !== null && <span class="dim number">{texts.percent(percent)}</span>}
        {told.seconds >= SHOWN_AFTER_S && <button type="button" class="small" onClick={sum.stop}>{texts.stop}</button>}
      </span>
    );
  }
  if (!stoppedAt) return null;
  const until = stoppedAt.counted_until;
  return (
    <span class="summing">
      <span class="warn" role="status">{until ? texts.countedUntil(moment(Number(BigInt(until) / 1_000n) / 1_000, zone.value), count(Math.floor(100 * (share(stoppedAt) ?? 0)))) : texts.nothingCounted}</span>
      <button type="button" class="small" onClick={sum.again}>{texts.countAll}</button>
    </span>
  );
}
