/** What a query did: what the index answered, what was read and decrypted, how long it took. The hub runs it once more. */

import { useEffect, useState } from "preact/hooks";
import { api } from "../core/api";
import { bytes, seconds } from "../core/format";
import { copy, dialog, place } from "../core/state";
import type { Explanation } from "../core/types";
import { Dialog } from "./dialog";
import { texts } from "../text/explain";
import { units } from "../text/units";

const LABEL = /^(\S.*?) {2,}(.*)$/;

export function ExplainDialog() {
  const { kfl, since, until } = place.value;
  const [answer, setAnswer] = useState<Explanation | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    const leaving = new AbortController();
    const isCurrent = (): boolean => !leaving.signal.aborted;
    api.explain(kfl, since, until, leaving.signal).then((found) => { if (isCurrent()) setAnswer(found); }, (failed: Error) => { if (isCurrent()) setError(failed.message); });
    return () => leaving.abort();
  }, []);
  const close = (): void => { dialog.value = ""; };
  return (
    <Dialog title={texts.explainTheQuery} wide>
      <p>{kfl ? <code>{kfl}</code> : texts.everything}{(since || until) && <span class="dim">{texts.inTheChosenTime}</span>}</p>
      {error && <p class="bad" role="alert">{error}</p>}
      {!answer && !error && <p class="dim" role="status">{texts.runningItOnceMore}</p>}
      {answer && (
        <>
          <p>{texts.inRead(<b>{units.entry(answer.entries)}</b>, seconds(answer.seconds), bytes(answer.bytes_read), answer.stopped && <span class="warn"> {texts.itEndedEarly} {answer.stopped}.</span>)}</p>
          {answer.notices.map((each) => <p key={each} class="warn">{each}</p>)}
          <table class="grid explain">
            <tbody>
              {answer.lines.map((line, i) => {
                const [, label, value] = LABEL.exec(line) ?? ["", "", line.trim()];
                return <tr key={i}><th scope="row">{label}</th><td class="mono">{value}</td></tr>;
              })}
            </tbody>
          </table>
          <p class="dim">{texts.aSecondRunFinds}</p>
          <p class="buttons">
            <button type="button" onClick={() => void copy(answer.lines.join("\n"))}>{texts.copy}</button>
            <button type="button" onClick={close}>{texts.close}</button>
          </p>
        </>
      )}
    </Dialog>
  );
}
