/** What is kept in this browser, who one is, redaction rules with a try-out, health of the hub. */

import { useEffect, useState } from "preact/hooks";
import { ApiError, api } from "../core/api";
import { bytes, count, seconds } from "../core/format";
import { type Theme, density, history_, letterKeys, may, say, session, theme, zone } from "../core/state";
import type { Health, Rule, Settings } from "../core/types";
import { Icon } from "../parts/icon";
import { WorkerTable } from "../parts/workers";
import { workers as workerText } from "../text/workers";
import { texts } from "../text/settings";
import { units } from "../text/units";

const KINDS = ["header", "cookie", "key", "json", "pattern"] as const;

export function SettingsView() {
  return <div class="page"><div class="page-in"><Own /><Who /><Hub />{session.value?.namespaces === null && <Workers />}{may("import") && <Redaction />}</div></div>;
}

function Own() {
  return (
    <section class="card" aria-labelledby="own-title">
      <h2 id="own-title">{texts.thisBrowser}</h2>
      <div class="form">
        <label for="s-theme">{texts.theme}</label>
        <select id="s-theme" value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value as Theme)}><option value="auto">{texts.asTheSystem}</option><option value="light">{texts.light}</option><option value="dark">{texts.dark}</option></select>
        <label for="s-zone">{texts.times}</label>
        <select id="s-zone" value={zone.value} onChange={(event) => (zone.value = event.currentTarget.value === "utc" ? "utc" : "local")}><option value="local">{texts.inThisMachinesZone(Intl.DateTimeFormat().resolvedOptions().timeZone)}</option><option value="utc">{texts.inUtc}</option></select>
        <label for="s-density">{texts.rows}</label>
        <select id="s-density" value={density.value} onChange={(event) => (density.value = event.currentTarget.value === "compact" ? "compact" : "normal")}><option value="normal">{texts.normal}</option><option value="compact">{texts.narrow}</option></select>
        <label for="s-keys">{texts.singleLettersAreKeys}</label>
        <span><input id="s-keys" type="checkbox" checked={letterKeys.value} onChange={(event) => (letterKeys.value = event.currentTarget.checked)} /></span>
        <span>{texts.earlierFilters}</span>
        <span class="buttons"><span class="dim">{texts.keptHere(units.filter(history_.value.length))}</span><button type="button" class="small" disabled={!history_.value.length} onClick={() => (history_.value = [])}>{texts.forgetThem}</button></span>
      </div>
    </section>
  );
}

function Who() {
  const who = session.value;
  if (!who) return null;
  return (
    <section class="card" aria-labelledby="who-title">
      <h2 id="who-title">{texts.you}</h2>
      <p>{texts.who(who.name, <b>{who.role}</b>, who.rights.join(", "), who.namespaces ? texts.inTheNamespaces(who.namespaces.join(", ")) : "", who.redacted ? texts.redactionRulesApplyTo : texts.nothingIsHiddenFrom)}</p>
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
      <h2 id="hub-title">{texts.hub} {health && <span class="state" data-state={health.ok ? "running" : "failed"}>{health.ok ? texts.works : texts.hasProblems}</span>}</h2>
      {error && <p class="bad" role="alert">{error}</p>}
      {health && (
        <>
          <dl class="tiles">
            <div class="minor"><dt>{texts.version}</dt><dd>{health.version}</dd></div>
            <div class="minor"><dt>{texts.upFor}</dt><dd>{seconds(Math.round(health.uptime_seconds))}</dd></div>
            <div class="minor"><dt>{texts.queries}</dt><dd>{texts.runningWaiting(count(health.queries_running), count(health.queries_waiting))}</dd></div>
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
      <h2 id="redaction-title">{texts.redaction}</h2>
      <p class="dim">{texts.aboutRedaction(settings.redaction === null ? texts.theseRulesComeWith : texts.theseRulesAreThe, bytes(settings.max_upload_bytes))}</p>
      <div class="scroll-x" tabIndex={0} role="region" aria-label={texts.redactionRules}>
        <table class="grid">
          <thead><tr><th scope="col">{texts.kind}</th><th scope="col">{texts.match}</th><th scope="col">{texts.shownInstead}</th>{canEdit && <th scope="col"><span class="hidden-text">{texts.actions}</span></th>}</tr></thead>
          <tbody>{rules.map((rule, i) => (
            <tr key={i}>
              {canEdit ? (
                <>
                  <td><select aria-label={texts.kindOfRule(i + 1)} value={rule.kind} onChange={(event) => set(i, { kind: event.currentTarget.value })}>{kinds.map((kind) => <option key={kind}>{kind}</option>)}</select></td>
                  <td><input aria-label={texts.matchOfRule(i + 1)} value={rule.match} onInput={(event) => set(i, { match: event.currentTarget.value })} /></td>
                  <td><input aria-label={texts.textOfRule(i + 1)} value={rule.value} onInput={(event) => set(i, { value: event.currentTarget.value })} /></td>
                  <td class="n"><button type="button" class="icon" aria-label={texts.removeRule(i + 1)} onClick={() => setRules(rules.filter((_, k) => k !== i))}><Icon name="close" /></button></td>
                </>
              ) : <><td>{rule.kind}</td><td class="mono">{rule.match}</td><td class="mono">{rule.value}</td></>}
            </tr>
          ))}</tbody>
        </table>
      </div>
      {canEdit && (
        <p class="buttons">
          <button type="button" onClick={() => setRules([...rules, { kind: "header", match: "", value: "[redacted]" }])}><Icon name="plus" />{texts.rule}</button>
          <span class="grow" />
          <button type="button" onClick={() => void attempt(async () => { const found = await api.tryRules(rules, ""); return texts.ofTheLastSomething(units.entry(found.looked_at), count(found.hidden_in)); })}>{texts.try}</button>
          {settings.redaction !== null && <button type="button" onClick={() => void attempt(async () => { show(await api.saveSettings({ redaction: null, max_upload_bytes: settings.max_upload_bytes })); return texts.theRulesThatCome; })}>{texts.defaultRules}</button>}
          <button type="button" class="primary" onClick={() => void attempt(async () => { show(await api.saveSettings({ redaction: rules, max_upload_bytes: settings.max_upload_bytes })); say(texts.saved); return texts.inForceForWhat; })}>{texts.save}</button>
        </p>
      )}
      {said && <p role="status" class={isBad ? "bad" : "dim"}>{said}</p>}
    </section>
  );
}
