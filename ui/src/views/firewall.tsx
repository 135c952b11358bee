/** The firewall: what nodes enforce, the policies, verdicts as they happen, and a policy being written, simulated, applied. */

import { useEffect, useState } from "preact/hooks";
import { ApiError, api } from "../core/api";
import { count } from "../core/format";
import { proposed } from "../core/policies";
import { go, may, place, say } from "../core/state";
import type { FirewallStatus, Policy, Simulation } from "../core/types";
import { EventsCard } from "../parts/firewall-events";
import { StatusCard } from "../parts/firewall-status";
import { status as statusTexts, texts } from "../text/firewall";

const LOOK_MS = 1_000;
const WITHIN_S = 60;

/** What is written, and the version of the policy that it was made from; none: a new one. */
interface Written {
  readonly text: string;
  readonly name: string;
  readonly version: string;
}

export function FirewallView() {
  const [policies, setPolicies] = useState<readonly Policy[] | null>(null);
  const [status, setStatus] = useState<FirewallStatus | null>(null);
  const [error, setError] = useState("");
  const [draft, setDraft] = useState<Written>(() => ({ text: proposed.peek() || texts.template, name: "", version: "" }));
  useEffect(() => { proposed.value = ""; }, []);
  const failed = ({ message }: Error): void => setError(message);
  const look = (): Promise<void> => api.firewallStatus().then((found) => { setStatus(found); setError(""); }, failed);
  const load = (): void => {
    void look();
    void api.policies().then(setPolicies, failed);
  };
  useEffect(() => {
    let timer = 0;
    let isOver = false;
    const again = (): void => void look().then(() => { if (!isOver) timer = window.setTimeout(again, LOOK_MS); });
    again();
    return () => { isOver = true; clearTimeout(timer); };
  }, []);
  // Whoever changes them, and the clock that undoes: both count the revision up.
  useEffect(() => void api.policies().then(setPolicies, failed), [status?.revision]);
  const mayChange = may("manage") || (may("firewall") && (policies ?? []).every((each) => each.mode === "Audit"));
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
      {error && <p class="bad" role="alert">{error}</p>}
      {status && <StatusCard status={status} changed={load} mayChange={mayChange} />}
      <section class="card" aria-labelledby="policies-title">
        <h2 id="policies-title">{texts.kept}</h2>
        {policies?.length === 0 && <p class="dim">{texts.none}</p>}
        {policies && policies.length > 0 && (
          <table class="grid">
            <thead><tr><th scope="col">{texts.columns.name}</th><th scope="col">{texts.columns.tier}</th><th scope="col" class="n">{texts.columns.priority}</th><th scope="col">{texts.columns.mode}</th><th scope="col" class="n">{texts.columns.rules}</th><th scope="col"><span class="hidden-text">{texts.columns.actions}</span></th></tr></thead>
            <tbody>{policies.map((each) => (
              <tr key={each.name}>
                <td>{each.name}</td><td>{each.tier}</td><td class="n">{each.priority}</td><td>{each.mode}</td><td class="n">{each.rules}</td>
                <td class="n"><button type="button" class="small" aria-label={texts.editNamed(each.name)} onClick={() => setDraft(each)}>{texts.edit}</button>{(may("manage") || (may("firewall") && each.mode === "Audit")) && <> <button type="button" class="small danger" aria-label={texts.removeNamed(each.name)} onClick={() => void remove(each)}>{texts.remove}</button></>}</td>
              </tr>
            ))}</tbody>
          </table>
        )}
      </section>
      {may("firewall") ? <Draft draft={draft} set={setDraft} policies={policies ?? []} applied={load} /> : <p class="dim">{texts.needs}</p>}
      {status && <EventsCard />}
    </div></div>
  );
}

function Draft({ draft, set, policies, applied }: { draft: Written; set: (draft: Written) => void; policies: readonly Policy[]; applied: () => void }) {
  const { text } = draft;
  const [inventory, setInventory] = useState("");
  const [said, setSaid] = useState<readonly string[]>([]);
  const [error, setError] = useState("");
  const [simulation, setSimulation] = useState<Simulation | null>(null);
  const [subject, setSubject] = useState<string>(texts.subjectHint);
  const [tried, setTried] = useState(""); // the text that was simulated: no other is applied
  const [isEnforced, setEnforced] = useState(false);
  const [within, setWithin] = useState(WITHIN_S);
  const [rollout, setRollout] = useState<"all" | "node">("all");
  const attempt = async (what: () => Promise<void>): Promise<void> => {
    setError("");
    setSaid([]);
    setSimulation(null);
    try {
      await what();
    } catch (failed) {
      const { message, line, column } = failed as ApiError;
      setSaid([]);
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
    setTried(text);
  };
  const learn = async (): Promise<void> => {
    const { kfl, since, until } = place.value;
    const found = await api.learnPolicy({ subject, inventory, kfl, since: since || null, until: until || null });
    set({ text: found.text, name: "", version: "" });
    setSaid([texts.learned(found.rules, found.flows), ...found.not_seen, ...found.problems]);
  };
  const apply = async (): Promise<void> => {
    const { policies: names } = await api.validatePolicy(text, inventory);
    const [name] = names;
    if (!name || names.length > 1) throw new Error(texts.oneName);
    // Who wrote it meanwhile is not overwritten: the version that was edited must still be the one that is kept.
    const version = draft.name === name && policies.some((each) => each.name === name) ? draft.version : "";
    const how = { enforce: isEnforced, confirmWithin: within, rollout };
    const put = (isDry: boolean) => api.putPolicy(name, text, inventory, version, how, isDry);
    const { attachments, warnings } = await put(true);
    setSaid(warnings);
    const rules = attachments.reduce((sum, each) => sum + each.rules, 0);
    if (!confirm(texts.applyAsk(name, attachments.length, rules, isEnforced, within))) return;
    const done = await put(false);
    set({ text, name, version: done.version });
    setSaid([texts.applied(name), ...done.nodes.map(statusTexts.took), ...done.warnings]);
    say(texts.applied(name));
    applied();
  };
  return (
    <section class="card" aria-labelledby="draft-title">
      <h2 id="draft-title">{texts.write}</h2>
      <form class="buttons" onSubmit={(event) => { event.preventDefault(); void attempt(learn); }}>
        <label>{texts.subject} <input class="mono" required spellcheck={false} maxLength={4096} title={texts.subjectTitle} value={subject} onInput={(event) => setSubject(event.currentTarget.value)} /></label>
        <button type="submit" title={texts.learnTitle}>{texts.learn}</button>
      </form>
      <label>{texts.policy}<textarea rows={16} spellcheck={false} value={text} onInput={(event) => set({ ...draft, text: event.currentTarget.value })} /></label>
      <details><summary>{texts.inventory}</summary><textarea rows={8} spellcheck={false} aria-label={texts.inventory} value={inventory} onInput={(event) => setInventory(event.currentTarget.value)} /></details>
      <p class="buttons">
        <button type="button" onClick={() => void attempt(check)}>{texts.check}</button>
        <button type="button" class="primary" title={texts.simulateTitle} onClick={() => void attempt(simulate)}>{texts.simulate}</button>
      </p>
      <p class="buttons">
        {may("manage") && <label>{texts.mode} <select value={isEnforced ? "enforce" : "written"} onChange={(event) => setEnforced(event.currentTarget.value === "enforce")}><option value="written">{texts.modes.written}</option><option value="enforce">{texts.modes.enforce}</option></select></label>}
        <label>{texts.within} <input type="number" min={0} max={86_400} value={within} onInput={(event) => setWithin(Math.min(Math.max(event.currentTarget.valueAsNumber || 0, 0), 86_400))} /></label>
        <label>{texts.rollout} <select value={rollout} onChange={(event) => setRollout(event.currentTarget.value === "node" ? "node" : "all")}><option value="all">{texts.rollouts.all}</option><option value="node">{texts.rollouts.node}</option></select></label>
        <button type="button" title={texts.applyTitle} disabled={tried !== text} onClick={() => void attempt(apply)}>{texts.apply}</button>
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
