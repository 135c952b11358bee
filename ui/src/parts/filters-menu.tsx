/** Saved filters, which the hub keeps for whoever saved them, and earlier ones, which this browser remembers. */

import { useEffect, useState } from "preact/hooks";
import { api } from "../core/api";
import { history_, say } from "../core/state";
import type { SavedFilter } from "../core/types";
import { Icon } from "./icon";
import { texts } from "../text/filters-menu";

const EARLIER = 12;

export function FiltersMenu({ text, apply }: { text: string; apply: (kfl: string) => void }) {
  const [saved, setSaved] = useState<readonly SavedFilter[]>([]);
  const [name, setName] = useState("");
  const load = (): void => void api.filters().then(setSaved, (failed: Error) => say(failed.message, true));
  useEffect(load, []);
  const act = async (what: Promise<unknown>): Promise<void> => {
    try {
      await what;
      setName("");
      load();
    } catch (failed) {
      say((failed as Error).message, true);
    }
  };
  const save = (): void => { if (name.trim() && text.trim()) void act(api.saveFilter(name.trim(), text.trim())); };
  const earlier = history_.value.filter((each) => each !== text).slice(0, EARLIER);
  return (
    <div class="history">
      {text.trim() !== "" && (
        <div class="history-save">
          <input aria-label={texts.nameToSaveThe} placeholder={texts.saveThisFilterAs} maxLength={100} value={name} onInput={(event) => setName(event.currentTarget.value)}
            onKeyDown={(event) => { if (event.key === "Enter") { event.preventDefault(); save(); } }} />
          <button type="button" class="small" disabled={!name.trim()} onClick={save}>{saved.some((each) => each.name === name.trim()) ? texts.replace : texts.save}</button>
        </div>
      )}
      {saved.length > 0 && <h2 id="saved-filters">{texts.saved}</h2>}
      {saved.length > 0 && (
        <ul aria-labelledby="saved-filters">
          {saved.map((each) => (
            <li key={each.name}>
              <button type="button" class="history-use" onClick={() => apply(each.kfl)}><b>{each.name}</b> <code>{each.kfl}</code></button>
              <button type="button" class="icon" aria-label={texts.forgetTheFilter(each.name)} title={texts.forget} onClick={() => void act(api.removeFilter(each.name))}><Icon name="close" /></button>
            </li>
          ))}
        </ul>
      )}
      {earlier.length > 0 && <h2 id="earlier-filters">{texts.earlier}</h2>}
      {earlier.length > 0 && <ul aria-labelledby="earlier-filters">{earlier.map((each) => <li key={each}><button type="button" class="history-use" onClick={() => apply(each)}><code>{each}</code></button></li>)}</ul>}
      {!saved.length && !earlier.length && <p class="dim">{texts.noFilterYetWhat}</p>}
    </div>
  );
}
