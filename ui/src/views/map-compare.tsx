/** Which other time the map is compared with: the one before, the first half, or one that is typed in. */

import { useState } from "preact/hooks";
import { api } from "../core/api";
import { fromInput, halves, precedes, toInput } from "../core/span";
import { go, place, say, zone } from "../core/state";
import { map as text } from "../text/map";

export function Compare() {
  const { since, until, against_since, against_until } = place.value;
  const [isOther, setOther] = useState(false);
  const isCompared = against_since !== "" || against_until !== "";
  const relative = since && until ? "before" : "half";
  const before = since && until ? precedes(since, until) : null;
  const value = !isCompared && !isOther ? "none" : !isOther && (before ? before.since === against_since && before.until === against_until : against_until === since) ? relative : "other";
  const choose = async (wanted: string): Promise<void> => {
    setOther(wanted === "other");
    if (wanted === "none") return go({ against_since: "", against_until: "" });
    if (wanted === "before" && before) return go({ against_since: before.since, against_until: before.until });
    if (wanted !== "half") return;
    const { first, last } = await api.info();
    const found = first && last ? halves(first, last) : null;
    if (found) go({ since: found.middle, until: found.end, against_since: found.begin, against_until: found.middle });
    else say(text.noEntry, true);
  };
  return (
    <>
      <label>{text.compare} <select class="small-select" value={value} onChange={(event) => void choose(event.currentTarget.value).catch((error: Error) => say(error.message, true))}>
        {(["none", relative, "other"] as const).map((each) => <option key={each} value={each}>{text.compares[each]}</option>)}
      </select></label>
      {value === "other" && <Typed />}
    </>
  );
}

function Typed() {
  const { against_since, against_until } = place.value;
  const set = (change: { against_since?: string; against_until?: string }): void => {
    const next = { against_since, against_until, ...change };
    if (next.against_since && next.against_until && BigInt(next.against_until) <= BigInt(next.against_since)) return say(text.compareBackwards, true);
    go(next);
  };
  return (
    <>
      <label>{text.compareFrom} <input class="small-input" type="datetime-local" step="1" value={toInput(against_since, zone.value)} onChange={(event) => set({ against_since: fromInput(event.currentTarget.value, zone.value) })} /></label>
      <label>{text.compareTo} <input class="small-input" type="datetime-local" step="1" value={toInput(against_until, zone.value)} onChange={(event) => set({ against_until: fromInput(event.currentTarget.value, zone.value) })} /></label>
    </>
  );
}
