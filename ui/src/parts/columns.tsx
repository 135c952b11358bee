/** Which columns the list has, and in which order. */

import { useEffect, useState } from "preact/hooks";
import { COLUMNS, columns, density } from "../core/state";
import { titleOf } from "../text/list";
import { Dialog } from "./dialog";
import { Icon } from "./icon";
import { completions } from "./vocabulary";
import { texts } from "../text/columns";

const MAX = 20;

export function ColumnsDialog() {
  const [names, setNames] = useState<readonly string[]>([]);
  const [wanted, setWanted] = useState("");
  useEffect(() => void completions().then((all) => setNames(all.filter(({ type }) => type === "variable").map(({ label }) => label))), []);
  const chosen = columns.value;
  const move = (at: number, by: number): void => {
    const next = [...chosen];
    const [each] = next.splice(at, 1);
    if (each) next.splice(at + by, 0, each);
    columns.value = next;
  };
  const known = COLUMNS.map(({ name }) => name).concat(names);
  const canAdd = known.includes(wanted) && !chosen.some(({ name }) => name === wanted) && chosen.length < MAX;
  return (
    <Dialog title={texts.columns}>
      <ul class="columns-list">
        {chosen.map(({ name }, i) => (
          <li key={name}>
            <span>{titleOf(name)}</span>
            <button type="button" class="icon" disabled={i === 0} aria-label={texts.moveToTheLeft(titleOf(name))} onClick={() => move(i, -1)}><Icon name="up" /></button>
            <button type="button" class="icon" disabled={i === chosen.length - 1} aria-label={texts.moveToTheRight(titleOf(name))} onClick={() => move(i, 1)}><Icon name="down" /></button>
            <button type="button" class="icon" disabled={chosen.length === 1} aria-label={texts.remove(titleOf(name))} onClick={() => (columns.value = chosen.filter((each) => each.name !== name))}><Icon name="close" /></button>
          </li>
        ))}
      </ul>
      <form class="buttons" onSubmit={(event) => {
        event.preventDefault();
        if (canAdd) columns.value = [...chosen, COLUMNS.find(({ name }) => name === wanted) ?? { name: wanted, width: 140 }];
        setWanted("");
      }}>
        <input list="column-names" aria-label={texts.columnOrVariableTo} placeholder={texts.hostTlsxSni} value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
        <datalist id="column-names">{known.map((name) => <option key={name} value={name} />)}</datalist>
        <button type="submit" disabled={!canAdd}>{texts.add}</button>
        <span class="grow" />
        <button type="button" onClick={() => (columns.value = [...COLUMNS])}>{texts.asItWas}</button>
      </form>
      <p><label class="check"><input type="checkbox" checked={density.value === "compact"} onChange={(event) => (density.value = event.currentTarget.checked ? "compact" : "normal")} /> {texts.narrowRows}</label></p>
    </Dialog>
  );
}
