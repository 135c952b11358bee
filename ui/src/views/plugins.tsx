/** Plugins: how each fares, switching it on and off, removing it; jobs. */

import { useEffect, useState } from "preact/hooks";
import { api } from "../core/api";
import { bytes, count, latency, moment } from "../core/format";
import { may, say, zone } from "../core/state";
import type { Job, Plugin } from "../core/types";
import { InstallPlugin } from "../parts/plugin-install";
import { PluginSettings } from "../parts/plugin-settings";
import { traffic } from "../shared";
import { texts } from "../text/plugins";

export function PluginsView() {
  const [plugins, setPlugins] = useState<readonly Plugin[] | null>(null);
  const [jobs, setJobs] = useState<readonly Job[]>([]);
  const [error, setError] = useState("");
  const load = (): void => {
    api.plugins().then(setPlugins, (failed: Error) => setError(failed.message));
    api.jobs().then(setJobs, () => setJobs([]));
  };
  useEffect(() => {
    load();
    const timer = setInterval(() => { if (!document.hidden) load(); }, 5000);
    return () => clearInterval(timer);
  }, []);
  const act = async (what: Promise<unknown>, done: string): Promise<void> => {
    try {
      await what;
      say(done);
      traffic.rerun();
    } catch (failed) {
      say((failed as Error).message, true);
    }
    load();
  };
  const foreign = plugins?.filter((each) => !each.builtin) ?? [];
  const builtin = plugins?.filter((each) => each.builtin) ?? [];
  return (
    <div class="page"><div class="page-in">
      {error && <p class="bad" role="alert">{error}</p>}
      {!plugins && !error && <p class="dim">{texts.loading}</p>}
      {plugins && may("manage") && <InstallPlugin done={load} />}
      {plugins && !foreign.length && (
        <section class="card">
          <h2>{texts.noPluginIsInstalled}</h2>
          <p>{texts.pluginsAddProtocolsFilters}</p>
          <pre class="code">{texts.howToWrite("\n")}</pre>
        </section>
      )}
      {foreign.map((each) => <Card key={each.id} plugin={each} act={act} load={load} />)}
      {jobs.length > 0 && <Jobs jobs={jobs} act={act} />}
      {builtin.length > 0 && (
        <section class="card">
          <details>
            <summary><b>{texts.builtIn(builtin.length)}</b> <span class="dim">{texts.dissectorsAndRenderersThat}</span></summary>
            <table class="grid"><thead><tr><th scope="col">{texts.name}</th><th scope="col">{texts.hooks}</th></tr></thead><tbody>{builtin.map((each) => <tr key={each.id}><td class="mono">{each.id}</td><td>{each.hooks.join(", ")}</td></tr>)}</tbody></table>
          </details>
        </section>
      )}
    </div></div>
  );
}

type Act = (what: Promise<unknown>, done: string) => Promise<void>;

const STOPPED = new Set(["quarantined", "failed", "broken"]);

function Card({ plugin, act, load }: { plugin: Plugin; act: Act; load: () => void }) {
  const permissions = Object.entries(plugin.asked).filter(([, list]) => list.length);
  const perCall = plugin.calls ? latency((plugin.seconds / plugin.calls) * 1000) : "";
  return (
    <section class="card" aria-label={texts.plugin(plugin.id)}>
      <h2>{plugin.id} <span class="dim">{plugin.version}</span> <span class="badge">{plugin.language}</span> {plugin.signed ? <span class="badge">{texts.signed}</span> : <span class="badge">{texts.notSigned}</span>}
        <span class="grow" />
        <span class="state" data-state={plugin.state}>{plugin.state}</span>
      </h2>
      {plugin.description && <p>{plugin.description}</p>}
      {plugin.reason && <p class={plugin.state === "running" ? "warn" : "bad"}>{plugin.trouble_at > 0 && <><time dateTime={new Date(plugin.trouble_at * 1000).toISOString()}>{moment(plugin.trouble_at * 1000, zone.value)}</time>: </>}{plugin.reason}</p>}
      <dl class="tiles">
        <div class="minor"><dt>{texts.hooks}</dt><dd>{plugin.hooks.join(", ") || texts.none}</dd></div>
        <div class="minor"><dt>{texts.calls}</dt><dd>{count(plugin.calls)}{perCall && <span class="dim"> · {perCall} {texts.each}</span>}</dd></div>
        <div class="minor"><dt>{texts.trouble}</dt><dd>{plugin.crashes || plugin.poison ? texts.crashesPayloadsLeftOut(plugin.crashes, plugin.poison) : texts.none}</dd></div>
        <div class="minor"><dt>{texts.memory}</dt><dd>{plugin.resident_bytes ? bytes(plugin.resident_bytes) : texts.notStarted}</dd></div>
      </dl>
      <p class="dim">{permissions.length ? <>{texts.asksFor} {permissions.map(([name, list]) => `${name}: ${list.join(", ")}${plugin.granted[name]?.length ? " (granted)" : texts.notGranted}`).join("; ")}</> : texts.asksForNoPermission}</p>
      {plugin.timings.length > 0 && <table class="grid"><thead><tr><th scope="col">{texts.hook}</th><th scope="col" class="n">{texts.calls}</th><th scope="col" class="n">{texts.eachRun}</th></tr></thead><tbody>{plugin.timings.map((each) => <tr key={each.hook}><td>{each.hook}</td><td class="n">{count(each.calls)}</td><td class="n">{each.calls ? latency((each.seconds / each.calls) * 1000) : ""}</td></tr>)}</tbody></table>}
      {may("manage") && <PluginSettings plugin={plugin} saved={load} />}
      {may("manage") && (
        <p class="buttons">
          {(plugin.disabled || STOPPED.has(plugin.state)) && <button type="button" onClick={() => void act(api.setPlugin(plugin.id, "enable"), texts.isOn(plugin.id))}>{plugin.disabled ? texts.enable : texts.useItAgain}</button>}
          {!plugin.disabled && <button type="button" onClick={() => void act(api.setPlugin(plugin.id, "disable"), texts.isOff(plugin.id))}>{texts.disable}</button>}
          <button type="button" class="danger" onClick={() => { if (confirm(texts.removeThePluginIts(plugin.id))) void act(api.removePlugin(plugin.id), texts.wasRemoved(plugin.id)); }}>{texts.remove}</button>
        </p>
      )}
    </section>
  );
}

function Jobs({ jobs, act }: { jobs: readonly Job[]; act: Act }) {
  return (
    <section class="card" aria-labelledby="jobs-title">
      <h2 id="jobs-title">{texts.jobs}</h2>
      <table class="grid">
        <thead><tr><th scope="col">{texts.job}</th><th scope="col">{texts.schedule}</th><th scope="col">{texts.nextRun}</th><th scope="col" class="n">{texts.runs}</th><th scope="col">{texts.lastError}</th><th scope="col"><span class="hidden-text">{texts.actions}</span></th></tr></thead>
        <tbody>{jobs.map((each) => (
          <tr key={each.plugin + each.job}><td>{each.plugin} · {each.job}</td><td class="mono">{each.cron}</td><td>{each.next_ns ? moment(each.next_ns / 1e6, zone.value) : "–"}</td><td class="n">{count(each.runs)}</td><td class="bad">{each.last_error}</td>
            <td class="n">{may("manage") && <button type="button" class="small" onClick={() => void act(api.runJob(each.plugin, each.job), `${each.job} ran`)}>{texts.runNow}</button>}</td></tr>
        ))}</tbody>
      </table>
    </section>
  );
}
