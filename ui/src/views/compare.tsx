import { useEffect, useState } from "preact/hooks";
import { api } from "../core/api";
import { moment } from "../core/format";
import { marks, zone } from "../core/state";
import type { Entry } from "../core/types";
import { Dialog } from "../parts/dialog";
import { type Line, difference } from "../parts/difference";
import { texts } from "../text/compare";

const CUT = 2000;

/** The two entries that were marked last, side by side. */
export function Compare() {
  const [pair, setPair] = useState<readonly [Entry, Entry] | null>(null);
  const [error, setError] = useState("");
  const [isAll, setAll] = useState(false);
  const [left, right] = marks.value.slice(-2);
  useEffect(() => {
    if (left && right) Promise.all([api.entry(left), api.entry(right)]).then(([a, b]) => setPair([a, b]), (failed: Error) => setError(failed.message));
  }, [left, right]);
  const lines = pair ? difference(...pair) : [];
  const differing = lines.filter((line) => line.left !== line.right);
  return (
    <Dialog title={texts.compare} wide>
      {!right && <p>{texts.markTwoEntriesWith(<kbd>m</kbd>)}</p>}
      {error && <p class="bad" role="alert">{error}</p>}
      {right && !pair && !error && <p class="dim">{texts.dissectingBoth}</p>}
      {pair && (
        <>
          <p class="buttons"><span>{differing.length ? texts.ofValuesDiffer(differing.length, lines.length) : texts.allValuesAreThe}</span><label class="check"><input type="checkbox" checked={isAll} onChange={(event) => setAll(event.currentTarget.checked)} /> {texts.showTheSameOnes}</label></p>
          <div class="scroll-x" tabIndex={0} role="region" aria-label={texts.differences}>
            <table class="grid compare">
              <thead><tr><th scope="col">{texts.value}</th>{pair.map((entry) => <th scope="col" key={entry.data.id}>{entry.base.method} {entry.base.summary.slice(0, 60)}<br /><span class="dim">{moment(entry.data.timestamp, zone.value)}</span></th>)}</tr></thead>
              <tbody>{(isAll ? lines : differing).map((line, i) => <Row key={i} line={line} />)}</tbody>
            </table>
          </div>
        </>
      )}
    </Dialog>
  );
}

function Row({ line }: { line: Line }) {
  const mark = line.left === line.right ? "" : "differs";
  const text = (value: string | null) => (value === null ? <i class="dim">{texts.notThere}</i> : value.length > CUT ? `${value.slice(0, CUT)} …` : value);
  return <tr><th scope="row">{line.name}<br /><span class="dim">{line.place}</span></th><td class={mark}>{text(line.left)}</td><td class={mark}>{text(line.right)}</td></tr>;
}
