/** The frame of the page: navigation, keys that work everywhere, dialogs, the short word at the foot. */

import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api } from "./core/api";
import { VIEWS, dialog, go, notice, place, session, theme } from "./core/state";
import { onKey } from "./keys";
import { FilterBar } from "./parts/filter-bar";
import { Help } from "./parts/help";
import { Icon } from "./parts/icon";
import { traffic } from "./shared";
import { workers as text } from "./text/workers";
import { TrafficView } from "./views/traffic";
import { texts } from "./text/app";

/** A view that is fetched when it is first looked at. */
function Lazy({ load }: { load: () => Promise<FunctionComponent> }) {
  const [Shown, setShown] = useState<FunctionComponent | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    load().then((view) => setShown(() => view), () => setError(texts.thisPartOfThe));
  }, [load]);
  if (error) return <p class="empty" role="alert">{error}</p>;
  return Shown ? <Shown /> : <p class="empty">{texts.loading}</p>;
}

const loadMap = () => import("./views/map").then((m) => m.MapView);
const loadCaptures = () => import("./views/captures").then((m) => m.CapturesView);
const loadPlugins = () => import("./views/plugins").then((m) => m.PluginsView);
const loadSettings = () => import("./views/settings").then((m) => m.SettingsView);
const loadFirewall = () => import("./views/firewall").then((m) => m.FirewallView);
const loadWorkersView = () => import("./views/workers").then((m) => m.WorkersView);
const loadTimeline = () => import("./views/lanes").then((m) => m.LanesView);
const loadCompare = () => import("./views/compare").then((m) => m.Compare);
const loadExport = () => import("./parts/export").then((m) => m.ExportDialog);
const loadExplain = () => import("./parts/explain").then((m) => m.ExplainDialog);
const loadWorkers = () => import("./parts/workers").then((m) => m.WorkersDialog);
const loadColumns = () => import("./parts/columns").then((m) => m.ColumnsDialog);

export function nextTheme(): void {
  const order = ["auto", "light", "dark"] as const;
  theme.value = order[(order.indexOf(theme.value) + 1) % 3] ?? "auto";
}

export function App() {
  useEffect(() => {
    document.addEventListener("keydown", onKey);
    api.session().then((who) => (session.value = who), () => undefined);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  const { view } = place.value;
  useEffect(() => {
    document.title = `${texts.names[view]} · kubeshark`;
    document.querySelector(".tab[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }); // on a narrow screen
  }, [view]);
  return (
    <>
      <a class="skip" href="#main">{texts.skipToTheContent}</a>
      <header class="bar">
        <span class="brand"><Icon name="fin" />{texts.kubeshark}</span>
        <nav aria-label={texts.views}>
          {VIEWS.map((name) => (
            <button key={name} type="button" class="tab" aria-current={view === name ? "page" : undefined} onClick={() => go({ view: name })}>
              {texts.names[name]}
            </button>
          ))}
        </nav>
        <span class="grow" />
        <WorkersBadge />
        <LinkState />
        {session.value?.redacted && <span class="badge" title={texts.rulesOfTheHub}>{texts.redacted}</span>}
        <button type="button" class="icon" onClick={nextTheme} title={texts.themeT(theme.value)} aria-label={texts.themeChange(theme.value)}>
          <Icon name={theme.value === "dark" ? "moon" : theme.value === "light" ? "sun" : "half"} />
        </button>
        <button type="button" class="icon" onClick={() => (dialog.value = "help")} title={texts.help} aria-label={texts.helpKeysAndFilter}><Icon name="help" /></button>
      </header>
      {["traffic", "map", "timeline"].includes(view) && <FilterBar />}
      <main id="main" tabIndex={-1} class={`view view-${view}`}>
        <h1 class="hidden-text">{texts.names[view]}</h1>
        {view === "traffic" && <TrafficView />}
        {view === "map" && <Lazy key="map" load={loadMap} />}
        {view === "captures" && <Lazy key="captures" load={loadCaptures} />}
        {view === "plugins" && <Lazy key="plugins" load={loadPlugins} />}
        {view === "firewall" && <Lazy key="firewall" load={loadFirewall} />}
        {view === "workers" && <Lazy key="workers" load={loadWorkersView} />}
        {view === "timeline" && <Lazy key="timeline" load={loadTimeline} />}
        {view === "settings" && <Lazy key="settings" load={loadSettings} />}
      </main>
      {dialog.value === "help" && <Help />}
      {dialog.value === "compare" && <Lazy load={loadCompare} />}
      {dialog.value === "export" && <Lazy load={loadExport} />}
      {dialog.value === "columns" && <Lazy load={loadColumns} />}
      {dialog.value === "workers" && <Lazy load={loadWorkers} />}
      {dialog.value === "explain" && <Lazy load={loadExplain} />}
      <Notice />
    </>
  );
}

/** How the workers fare, at a glance; who is looked at closer in a dialog. */
function WorkersBadge() {
  const all = traffic.workers.value;
  if (!all.length) return null;
  const up = all.filter((each) => each.state === "up").length;
  const worst = ["away", "late", "unknown"].find((state) => all.some((each) => each.state === state)) ?? "up";
  return <button type="button" class="small state" data-state={worst} title={text.badgeTitle} onClick={() => (dialog.value = "workers")}>{text.badge(up, all.length)}</button>;
}

function LinkState() {
  const link = traffic.link.value;
  const words = texts.link[link];
  return <span class="link" data-link={link} role="status">{link === "open" ? <span class="hidden-text">{words}</span> : words}</span>;
}

function Notice() {
  const now = notice.value;
  return (
    <div class="notice-place" role="status" aria-live="polite">
      {now && (
        <div class="notice" data-bad={now.isBad || undefined}>
          <span>{now.text}</span>
          {now.isBad && <button type="button" class="icon" aria-label={texts.dismiss} onClick={() => (notice.value = null)}><Icon name="close" /></button>}
        </div>
      )}
    </div>
  );
}
