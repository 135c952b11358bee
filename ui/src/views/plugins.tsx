/** Plugins: how each fares, switching it on and off, removing it; jobs. */

import { useEffect, useState } from "preact/hooks";
import { api } from "../core/api";
import { bytes, count, latency, moment } from "../core/format";
import { may, say, zone } from "../core/state";
import type { Job, Plugin } from "../core/types";
import { InstallPlugin } from "../parts/plugin-install";
import { PluginSettings } from "../parts/plugin-settings";
import { traffic } from "../shared";

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
      {!plugins && !error && <p class="dim">Loading …</p>}
      {plugins && may("manage") && <InstallPlugin done={load} />}
      {plugins && !foreign.length && (
        <section class="card">
          <h2>No plugin is installed</h2>
          <p>Plugins add protocols, filters and renderers, in JavaScript, C, Go or Python. Each runs in a process of its own that sees nothing but its messages.</p>
          <pre class="code">kubeshark plugin new --lang js my-protocol{"\n"}kubeshark plugin install ./my-protocol</pre>
        </section>
      )}
      {foreign.map((each) => <Card key={each.id} plugin={each} act={act} load={load} />)}
      {jobs.length > 0 && <Jobs jobs={jobs} act={act} />}
      {builtin.length > 0 && (
        <section class="card">
          <details>
            <summary><b>{builtin.length} built in</b> <span class="dim">dissectors and renderers that come with kubeshark, through the same hooks</span></summary>
            <table class="grid"><thead><tr><th scope="col">Name</th><th scope="col">Hooks</th></tr></thead><tbody>{builtin.map((each) => <tr key={each.id}><td class="mono">{each.id}</td><td>{each.hooks.join(", ")}</td></tr>)}</tbody></table>
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
    <section class="card" aria-label={`Plugin ${plugin.id}`}>
      <h2>{plugin.id} <span class="dim">{plugin.version}</span> <span class="badge">{plugin.language}</span> {plugin.signed ? <span class="badge">signed</span> : <span class="badge">not signed</span>}
        <span class="grow" />
        <span class="state" data-state={plugin.state}>{plugin.state}</span>
      </h2>
      {plugin.description && <p>{plugin.description}</p>}
      {plugin.reason && <p class={plugin.state === "running" ? "warn" : "bad"}>{plugin.reason}</p>}
      <dl class="tiles">
        <div class="minor"><dt>Hooks</dt><dd>{plugin.hooks.join(", ") || "none"}</dd></div>
        <div class="minor"><dt>Calls</dt><dd>{count(plugin.calls)}{perCall && <span class="dim"> · {perCall} each</span>}</dd></div>
        <div class="minor"><dt>Trouble</dt><dd>{plugin.crashes || plugin.poison ? `${plugin.crashes} crashes, ${plugin.poison} payloads left out` : "none"}</dd></div>
        <div class="minor"><dt>Memory</dt><dd>{plugin.resident_bytes ? bytes(plugin.resident_bytes) : "not started"}</dd></div>
      </dl>
      <p class="dim">{permissions.length ? <>Asks for {permissions.map(([name, list]) => `${name}: ${list.join(", ")}${plugin.granted[name]?.length ? " (granted)" : " (not granted)"}`).join("; ")}</> : "Asks for no permission."}</p>
      {plugin.timings.length > 0 && <table class="grid"><thead><tr><th scope="col">Hook</th><th scope="col" class="n">Calls</th><th scope="col" class="n">Each</th></tr></thead><tbody>{plugin.timings.map((each) => <tr key={each.hook}><td>{each.hook}</td><td class="n">{count(each.calls)}</td><td class="n">{each.calls ? latency((each.seconds / each.calls) * 1000) : ""}</td></tr>)}</tbody></table>}
      {may("manage") && <PluginSettings plugin={plugin} saved={load} />}
      {may("manage") && (
        <p class="buttons">
          {(plugin.disabled || STOPPED.has(plugin.state)) && <button type="button" onClick={() => void act(api.setPlugin(plugin.id, "enable"), `${plugin.id} is on`)}>{plugin.disabled ? "Enable" : "Use it again"}</button>}
          {!plugin.disabled && <button type="button" onClick={() => void act(api.setPlugin(plugin.id, "disable"), `${plugin.id} is off`)}>Disable</button>}
          <button type="button" class="danger" onClick={() => { if (confirm(`Remove the plugin ${plugin.id}? Its protocols are no longer dissected.`)) void act(api.removePlugin(plugin.id), `${plugin.id} was removed`); }}>Remove …</button>
        </p>
      )}
    </section>
  );
}

function Jobs({ jobs, act }: { jobs: readonly Job[]; act: Act }) {
  return (
    <section class="card" aria-labelledby="jobs-title">
      <h2 id="jobs-title">Jobs</h2>
      <table class="grid">
        <thead><tr><th scope="col">Job</th><th scope="col">Schedule</th><th scope="col">Next run</th><th scope="col" class="n">Runs</th><th scope="col">Last error</th><th scope="col"><span class="hidden-text">Actions</span></th></tr></thead>
        <tbody>{jobs.map((each) => (
          <tr key={each.plugin + each.job}><td>{each.plugin} · {each.job}</td><td class="mono">{each.cron}</td><td>{each.next_ns ? moment(each.next_ns / 1e6, zone.value) : "–"}</td><td class="n">{count(each.runs)}</td><td class="bad">{each.last_error}</td>
            <td class="n">{may("manage") && <button type="button" class="small" onClick={() => void act(api.runJob(each.plugin, each.job), `${each.job} ran`)}>Run now</button>}</td></tr>
        ))}</tbody>
      </table>
    </section>
  );
}
