/** What is kept in this browser, who one is, redaction rules with a try-out, health of the hub. */

import { useEffect, useState } from "preact/hooks";
import { ApiError, api } from "../core/api";
import { bytes, count, plural, seconds } from "../core/format";
import { type Theme, density, history_, letterKeys, may, say, session, theme, zone } from "../core/state";
import type { Health, Rule, Settings } from "../core/types";
import { Icon } from "../parts/icon";
import { WorkerTable } from "../parts/workers";
import { workers as workerText } from "../text/workers";

const KINDS = ["header", "cookie", "key", "json", "pattern"] as const;

export function SettingsView() {
  return <div class="page"><div class="page-in"><Own /><Who /><Hub />{session.value?.namespaces === null && <Workers />}{may("import") && <Redaction />}</div></div>;
}

function Own() {
  return (
    <section class="card" aria-labelledby="own-title">
      <h2 id="own-title">This browser</h2>
      <div class="form">
        <label for="s-theme">Theme</label>
        <select id="s-theme" value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value as Theme)}><option value="auto">as the system</option><option value="light">light</option><option value="dark">dark</option></select>
        <label for="s-zone">Times</label>
        <select id="s-zone" value={zone.value} onChange={(event) => (zone.value = event.currentTarget.value === "utc" ? "utc" : "local")}><option value="local">in this machine's zone ({Intl.DateTimeFormat().resolvedOptions().timeZone})</option><option value="utc">in UTC</option></select>
        <label for="s-density">Rows</label>
        <select id="s-density" value={density.value} onChange={(event) => (density.value = event.currentTarget.value === "compact" ? "compact" : "normal")}><option value="normal">normal</option><option value="compact">narrow</option></select>
        <label for="s-keys">Single letters are keys</label>
        <span><input id="s-keys" type="checkbox" checked={letterKeys.value} onChange={(event) => (letterKeys.value = event.currentTarget.checked)} /></span>
        <span>Earlier filters</span>
        <span class="buttons"><span class="dim">{plural(history_.value.length, "filter")} kept here</span><button type="button" class="small" disabled={!history_.value.length} onClick={() => (history_.value = [])}>Forget them</button></span>
      </div>
    </section>
  );
}

function Who() {
  const who = session.value;
  if (!who) return null;
  return (
    <section class="card" aria-labelledby="who-title">
      <h2 id="who-title">You</h2>
      <p>{who.name} is <b>{who.role}</b> and may {who.rights.join(", ")}{who.namespaces ? `, in the namespaces ${who.namespaces.join(", ")}` : ""}. {who.redacted ? "Redaction rules apply to what you see, and to what your filters see." : "Nothing is hidden from you."}</p>
    </section>
  );
}

function Hub() {
  const [health, setHealth] = useState<Health | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    const load = (): void => void api.health().then((found) => { setHealth(found); setError(""); }, (failed: Error) => setError(failed.message));
    load();
    const timer = setInterval(load, 5000);
    return () => clearInterval(timer);
  }, []);
  return (
    <section class="card" aria-labelledby="hub-title">
      <h2 id="hub-title">Hub {health && <span class="state" data-state={health.ok ? "running" : "failed"}>{health.ok ? "works" : "has problems"}</span>}</h2>
      {error && <p class="bad" role="alert">{error}</p>}
      {health && (
        <>
          <dl class="tiles">
            <div class="minor"><dt>Version</dt><dd>{health.version}</dd></div>
            <div class="minor"><dt>Up for</dt><dd>{seconds(Math.round(health.uptime_seconds))}</dd></div>
            <div class="minor"><dt>Queries</dt><dd>{count(health.queries_running)} running, {count(health.queries_waiting)} waiting</dd></div>
          </dl>
          {health.problems.map((each) => <p key={each} class="bad">{each}</p>)}
        </>
      )}
    </section>
  );
}

function Workers() {
  return (
    <section class="card" aria-labelledby="workers-title">
      <h2 id="workers-title">{workerText.title}</h2>
      <p class="dim">{workerText.about}</p>
      <WorkerTable />
    </section>
  );
}

function Redaction() {
  const [settings, setSettings] = useState<Settings | null>(null);
  const [rules, setRules] = useState<readonly Rule[]>([]);
  const [said, setSaid] = useState("");
  const [isBad, setBad] = useState(false);
  const show = (found: Settings): void => {
    setSettings(found);
    setRules(found.rules);
  };
  useEffect(() => void api.settings().then(show, (failed: ApiError) => { setSaid(failed.message); setBad(true); }), []);
  const attempt = async (what: () => Promise<string>): Promise<void> => {
    try {
      setSaid(await what());
      setBad(false);
    } catch (error) {
      setSaid((error as Error).message);
      setBad(true);
    }
  };
  if (!settings) return said ? <p class="bad">{said}</p> : null;
  const set = (at: number, change: Partial<Rule>): void => setRules(rules.map((rule, i) => (i === at ? { ...rule, ...change } : rule)));
  const canEdit = may("manage");
  const kinds = [...new Set([...KINDS, ...rules.map((rule) => rule.kind)])];
  return (
    <section class="card" aria-labelledby="redaction-title">
      <h2 id="redaction-title">Redaction</h2>
      <p class="dim">Hidden from whoever lacks the right “clear”: in lists, entries, filters and HAR exports. {settings.redaction === null ? "These rules come with kubeshark." : "These rules are the hub's own."} Uploads are at most {bytes(settings.max_upload_bytes)}.</p>
      <div class="scroll-x" tabIndex={0} role="region" aria-label="Redaction rules">
        <table class="grid">
          <thead><tr><th scope="col">Kind</th><th scope="col">Match</th><th scope="col">Shown instead</th>{canEdit && <th scope="col"><span class="hidden-text">Actions</span></th>}</tr></thead>
          <tbody>{rules.map((rule, i) => (
            <tr key={i}>
              {canEdit ? (
                <>
                  <td><select aria-label={`Kind of rule ${i + 1}`} value={rule.kind} onChange={(event) => set(i, { kind: event.currentTarget.value })}>{kinds.map((kind) => <option key={kind}>{kind}</option>)}</select></td>
                  <td><input aria-label={`Match of rule ${i + 1}`} value={rule.match} onInput={(event) => set(i, { match: event.currentTarget.value })} /></td>
                  <td><input aria-label={`Text of rule ${i + 1}`} value={rule.value} onInput={(event) => set(i, { value: event.currentTarget.value })} /></td>
                  <td class="n"><button type="button" class="icon" aria-label={`Remove rule ${i + 1}`} onClick={() => setRules(rules.filter((_, k) => k !== i))}><Icon name="close" /></button></td>
                </>
              ) : <><td>{rule.kind}</td><td class="mono">{rule.match}</td><td class="mono">{rule.value}</td></>}
            </tr>
          ))}</tbody>
        </table>
      </div>
      {canEdit && (
        <p class="buttons">
          <button type="button" onClick={() => setRules([...rules, { kind: "header", match: "", value: "[redacted]" }])}><Icon name="plus" />Rule</button>
          <span class="grow" />
          <button type="button" onClick={() => void attempt(async () => { const found = await api.tryRules(rules, ""); return `Of the last ${plural(found.looked_at, "entry", "entries")} something is hidden in ${count(found.hidden_in)}.`; })}>Try</button>
          {settings.redaction !== null && <button type="button" onClick={() => void attempt(async () => { show(await api.saveSettings({ redaction: null, max_upload_bytes: settings.max_upload_bytes })); return "The rules that come with kubeshark are in force."; })}>Default rules</button>}
          <button type="button" class="primary" onClick={() => void attempt(async () => { show(await api.saveSettings({ redaction: rules, max_upload_bytes: settings.max_upload_bytes })); say("Saved"); return "In force for what is asked from now on."; })}>Save</button>
        </p>
      )}
      {said && <p role="status" class={isBad ? "bad" : "dim"}>{said}</p>}
    </section>
  );
}
