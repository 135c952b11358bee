/** Firewall policies: those that are kept, and one being written: checked, simulated on recorded traffic, kept. */

import { useEffect, useState } from "preact/hooks";
import { ApiError, api } from "../core/api";
import { count } from "../core/format";
import { go, may, place, say } from "../core/state";
import type { Policy, Simulation } from "../core/types";
import { texts } from "../text/firewall";

export function FirewallView() {
  const [policies, setPolicies] = useState<readonly Policy[] | null>(null);
  const [error, setError] = useState("");
  const [draft, setDraft] = useState<string>(texts.template);
  const load = (): void => void api.policies().then(setPolicies, (failed: Error) => setError(failed.message));
  useEffect(load, []);
  const remove = async ({ name, version }: Policy): Promise<void> => {
    if (!confirm(texts.removeAsk(name))) return;
    try {
      await api.removePolicy(name, version);
      say(texts.removed(name));
    } catch (failed) {
      say((failed as Error).message, true);
    }
    load();
  };
  return (
    <div class="page"><div class="page-in">
      <section class="card" aria-labelledby="policies-title">
        <h2 id="policies-title">{texts.kept}</h2>
        {error && <p class="bad" role="alert">{error}</p>}
        {policies?.length === 0 && <p class="dim">{texts.none}</p>}
        {policies && policies.length > 0 && (
          <table class="grid">
            <thead><tr><th scope="col">{texts.columns.name}</th><th scope="col">{texts.columns.tier}</th><th scope="col" class="n">{texts.columns.priority}</th><th scope="col">{texts.columns.mode}</th><th scope="col" class="n">{texts.columns.rules}</th><th scope="col"><span class="hidden-text">{texts.columns.actions}</span></th></tr></thead>
            <tbody>{policies.map((each) => (
              <tr key={each.name}>
                <td>{each.name}</td><td>{each.tier}</td><td class="n">{each.priority}</td><td>{each.mode}</td><td class="n">{each.rules}</td>
                <td class="n"><button type="button" class="small" aria-label={texts.editNamed(each.name)} onClick={() => setDraft(each.text)}>{texts.edit}</button>{may("firewall") && <> <button type="button" class="small danger" aria-label={texts.removeNamed(each.name)} onClick={() => void remove(each)}>{texts.remove}</button></>}</td>
              </tr>
            ))}</tbody>
          </table>
        )}
      </section>
      {may("firewall") ? <Draft text={draft} set={setDraft} policies={policies ?? []} kept={load} /> : <p class="dim">{texts.needs}</p>}
    </div></div>
  );
}

function Draft({ text, set, policies, kept }: { text: string; set: (text: string) => void; policies: readonly Policy[]; kept: () => void }) {
  const [inventory, setInventory] = useState("");
  const [said, setSaid] = useState<readonly string[]>([]);
  const [error, setError] = useState("");
  const [simulation, setSimulation] = useState<Simulation | null>(null);
  const attempt = async (what: () => Promise<void>): Promise<void> => {
    setError("");
    setSaid([]);
    setSimulation(null);
    try {
      await what();
    } catch (failed) {
      const { message, line, column } = failed as ApiError;
      setError(`${line ? texts.at(line, column) : ""}${message}`);
    }
  };
  const check = async (): Promise<void> => {
    const { policies: names, attachments, warnings } = await api.validatePolicy(text, inventory);
    setSaid([texts.sound(names, attachments.length, attachments.reduce((sum, each) => sum + each.rules, 0)), ...warnings]);
  };
  const simulate = async (): Promise<void> => {
    setSaid([texts.adding]);
    const { kfl, since, until } = place.value;
    const found = await api.simulatePolicy({ policy: text, inventory, kfl, since: since || null, until: until || null });
    setSaid([texts.judged(found.judged, found.flows, found.packets), ...found.warnings, ...found.problems]);
    setSimulation(found);
  };
  const keep = async (): Promise<void> => {
    const { policies: names } = await api.validatePolicy(text, inventory);
    const [name] = names;
    if (!name || names.length > 1) throw new Error(texts.oneName);
    // Who wrote it meanwhile is not overwritten: the version that is listed here must still be the one that is kept.
    await api.putPolicy(name, text, inventory, policies.find((each) => each.name === name)?.version ?? "");
    say(texts.keptDone(name));
    kept();
  };
  return (
    <section class="card" aria-labelledby="draft-title">
      <h2 id="draft-title">{texts.write}</h2>
      <label>{texts.policy}<textarea rows={16} spellcheck={false} value={text} onInput={(event) => set(event.currentTarget.value)} /></label>
      <details><summary>{texts.inventory}</summary><textarea rows={8} spellcheck={false} aria-label={texts.inventory} value={inventory} onInput={(event) => setInventory(event.currentTarget.value)} /></details>
      <p class="buttons">
        <button type="button" onClick={() => void attempt(check)}>{texts.check}</button>
        <button type="button" class="primary" title={texts.simulateTitle} onClick={() => void attempt(simulate)}>{texts.simulate}</button>
        <button type="button" title={texts.keepTitle} onClick={() => void attempt(keep)}>{texts.keep}</button>
      </p>
      {error && <p class="bad" role="alert">{error}</p>}
      <div role="status">{said.map((each) => <p key={each} class="dim">{each}</p>)}</div>
      {simulation && <Lines simulation={simulation} />}
    </section>
  );
}

function Lines({ simulation }: { simulation: Simulation }) {
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label={texts.results}>
      <table class="grid">
        <thead><tr><th scope="col">{texts.rule}</th><th scope="col">{texts.verdict}</th><th scope="col" class="n">{texts.flows}</th><th scope="col" class="n">{texts.packets}</th><th scope="col" class="n">{texts.size}</th><th scope="col">{texts.peers}</th><th scope="col"><span class="hidden-text">{texts.columns.actions}</span></th></tr></thead>
        <tbody>{simulation.rules.map((each, i) => {
          const [sample] = each.sampleEntryIds;
          return (
            <tr key={i}>
              <td>{texts.ruleName(each.direction, each.policy, each.name)}</td><td>{each.verdict}</td><td class="n">{count(each.flows)}</td><td class="n">{count(each.packets)}</td><td class="n">{texts.bytes(each.bytes)}</td>
              <td class="mono">{each.peers.slice(0, 3).map((peer) => texts.peer(peer.name || peer.address, peer.flows)).join(", ")}</td>
              <td class="n">{sample && <button type="button" class="small" onClick={() => go({ view: "traffic", entry: sample })}>{texts.entries}</button>}</td>
            </tr>
          );
        })}</tbody>
      </table>
    </div>
  );
}
