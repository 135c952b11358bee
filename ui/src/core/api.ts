/** Requests to the hub's REST API: docs/hub-api.md. Only the hub's own origin is ever asked. */

import { texts } from "../text/core";
import { type Told, eachLine } from "./lines";
import type { Check, Entry, Explanation, FirewallApplied, FirewallChange, FirewallStatus, Health, Histogram, HowToApply, ImportReport, Info, Job, Kfl, Learned, Overview, Packet, Plugin, Policy, Pruned, Renderer, SavedFilter, ServiceMap, Session, Settings, Sheet, Simulation, Snapshot, Stream, Timeline, Validation, Worker } from "./types";

/** Below the page's own path: a proxy may have put it anywhere. Tests of logic have no page. */
const BASE = typeof document === "undefined" ? "/api/v1/" : new URL("api/v1/", document.baseURI).pathname;

/** What the hub said, or why it could not be asked; `status` 0: no answer at all. */
export class ApiError extends Error {
  constructor(message: string, readonly status: number, readonly column = 0, readonly line = 0) {
    super(message);
  }
}

let csrf = "";

type Params = Readonly<Record<string, string | number | null | undefined>>;

export function url(path: string, params: Params = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value !== null && value !== undefined && value !== "") search.set(name, String(value));
  const text = search.toString();
  return BASE + path + (text ? `?${text}` : "");
}

async function failure(response: Response): Promise<ApiError> {
  const text = await response.text();
  let message = text.trim().split("\n")[0] || response.statusText;
  let column = 0;
  let line = 0;
  try {
    const body = JSON.parse(text) as { error?: string; detail?: unknown; column?: number; line?: number };
    message = body.error ?? (typeof body.detail === "string" ? body.detail : message);
    column = body.column ?? 0;
    line = body.line ?? 0;
  } catch {
    // not JSON: the text is the message
  }
  return new ApiError(message, response.status, column, line);
}

export async function request<T>(path: string, params: Params = {}, init: RequestInit = {}): Promise<T> {
  const headers = new Headers(init.headers);
  if (init.method && init.method !== "GET") headers.set("X-CSRF-Token", csrf);
  let response: Response;
  try {
    response = await fetch(url(path, params), { ...init, headers, credentials: "same-origin" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(texts.noAnswer, 0);
  }
  if (!response.ok) throw await failure(response);
  if (response.status === 204) return undefined as T; // nothing, whatever its type is said to be
  const type = response.headers.get("content-type") ?? "";
  return (type.includes("json") && !type.includes("jsonl") ? await response.json() : await response.text()) as T;
}

const LONGEST_S = 86_400; // a sum that somebody looks at goes on until it is whole: one sees how far it is, and stops it

/** Ask for a sum, hear how it grows, and return the whole. Aborted, it ends on the hub too. */
async function summed<T>(path: string, params: Params, told: (told: Told<T>) => void, signal: AbortSignal): Promise<T> {
  let whole: T | undefined;
  let failed = "";
  try {
    const response = await fetch(url(path, { ...params, progress: "true", seconds: LONGEST_S }), { credentials: "same-origin", signal });
    if (!response.ok || !response.body) throw await failure(response);
    await eachLine(response.body, (line) => {
      const said = JSON.parse(line) as Told<T> | { readonly op: "error"; readonly message: string };
      if (said.op === "error") failed = said.message;
      else if (said.op === "done") whole = said.answer;
      else told(said);
    });
  } catch (error) {
    if (error instanceof ApiError || (error instanceof DOMException && error.name === "AbortError")) throw error;
    throw new ApiError(texts.noAnswer, 0);
  }
  if (whole === undefined) throw new ApiError(failed || texts.noAnswer, 0);
  return whole;
}

export async function bytesOf(path: string, params: Params = {}): Promise<Uint8Array> {
  const response = await fetch(url(path, params), { credentials: "same-origin" });
  if (!response.ok) throw await failure(response);
  return new Uint8Array(await response.arrayBuffer());
}

function json(body: unknown, method: string): RequestInit {
  return { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
}

export const api = {
  session: async (): Promise<Session> => {
    const session = await request<Session>("session");
    csrf = session.csrf;
    return session;
  },
  /** Whether the hub still knows who one is; one that does not answer has not said no. */
  isKnown: async (): Promise<boolean> => {
    try {
      await request<Session>("session");
    } catch (error) {
      return !(error instanceof ApiError && error.status === 401);
    }
    return true;
  },
  check: (kfl: string, signal: AbortSignal) => request<Check>("query/check", { kfl }, { signal }),
  histogram: (kfl: string, since: string, until: string, buckets: number, by: string, told: (told: Told<Histogram>) => void, signal: AbortSignal) =>
    summed<Histogram>("query/histogram", { kfl, since, until, buckets, by }, told, signal),
  explain: (kfl: string, since: string, until: string, signal: AbortSignal) => request<Explanation>("query/explain", { kfl, since, until }, { signal }),
  filters: () => request<readonly SavedFilter[]>("filters"),
  saveFilter: (name: string, kfl: string) => request<SavedFilter>(`filters/${encodeURIComponent(name)}`, {}, json({ kfl }, "PUT")),
  removeFilter: (name: string) => request(`filters/${encodeURIComponent(name)}`, {}, { method: "DELETE" }),
  kfl: () => request<Kfl>("kfl"),
  values: (variable: string, kfl: string, signal: AbortSignal) => request<unknown>("query/values", { variable, kfl, limit: 20 }, { signal }),
  entry: (id: string, renderer = "") => request<Entry>(`entries/${encodeURIComponent(id)}`, { renderer }),
  renderers: (id: string) => request<readonly Renderer[]>(`entries/${encodeURIComponent(id)}/renderers`),
  neighbours: (id: string) => request<{ previous: string | null; next: string | null }>(`entries/${encodeURIComponent(id)}/neighbours`),
  raw: (id: string, half: string) => bytesOf(`entries/${encodeURIComponent(id)}/raw`, { half }),
  packets: (id: string, first: number, limit: number) => request<readonly Packet[]>(`entries/${encodeURIComponent(id)}/packets`, { first, limit }),
  packet: (id: string, number: number) => bytesOf(`entries/${encodeURIComponent(id)}/packets/${number}`),
  stream: (id: string) => request<Stream>(`entries/${encodeURIComponent(id)}/stream`),
  map: (asked: Readonly<Record<"kfl" | "since" | "until" | "against_since" | "against_until" | "group", string>>, layer: number, told: (told: Told<ServiceMap>) => void, signal: AbortSignal) =>
    summed<ServiceMap>("map", { ...asked, layer }, told, signal),
  timeline: (kfl: string, since: string, until: string, group: string, buckets: number, told: (told: Told<Timeline>) => void, signal: AbortSignal) =>
    summed<Timeline>("timeline", { kfl, since, until, group, buckets, limit: 200 }, told, signal),
  info: () => request<Info>("info"),
  overview: () => request<Overview>("overview"),
  prune: (limits: { max_bytes?: number; max_age_seconds?: number; capture?: { name: string; sha256: string }; dry_run: boolean }) => request<Pruned>("store/prune", {}, json(limits, "POST")),
  verify: () => request<{ sound: boolean; segments: number; bytes: number; findings: readonly Record<string, string>[] }>("store/verify", {}, json({}, "POST")),
  snapshots: () => request<readonly Snapshot[]>("snapshots"),
  addSnapshot: (name: string, since: string, until: string) => request<Snapshot>("snapshots", {}, json({ name, since, until }, "POST")),
  removeSnapshot: (name: string) => request(`snapshots/${encodeURIComponent(name)}`, {}, { method: "DELETE" }),
  plugins: () => request<readonly Plugin[]>("plugins"),
  setPlugin: (id: string, state: "enable" | "disable") => request<Plugin>(`plugins/${encodeURIComponent(id)}/${state}`, {}, { method: "POST" }),
  setPluginSettings: (id: string, changes: Readonly<Record<string, unknown>>) => request<Plugin>(`plugins/${encodeURIComponent(id)}/settings`, {}, json(changes, "PUT")),
  /** Look at a package, or install it: a `grant` may come several times. */
  uploadPlugin: (data: ArrayBuffer, signature: string, wishes: Readonly<Record<string, string>>, grants: readonly string[]) => {
    const search = new URLSearchParams(wishes);
    for (const grant of grants) search.append("grant", grant);
    const headers = { "Content-Type": "application/octet-stream", ...(signature ? { "X-Plugin-Signature": signature } : {}) };
    return request<Sheet>(`plugins${search.size ? `?${search}` : ""}`, {}, { method: "POST", body: data, headers });
  },
  removePlugin: (id: string) => request(`plugins/${encodeURIComponent(id)}`, {}, { method: "DELETE" }),
  policies: () => request<readonly Policy[]>("firewall/policies"),
  validatePolicy: (policy: string, inventory: string) => request<Validation>("firewall/validate", {}, json({ policy, inventory }, "POST")),
  simulatePolicy: (asked: { policy: string; inventory: string; kfl: string; since: string | null; until: string | null }) => request<Simulation>("firewall/simulate", {}, json(asked, "POST")),
  learnPolicy: (asked: { subject: string; inventory: string; kfl: string; since: string | null; until: string | null }) => request<Learned>("firewall/learn", {}, json(asked, "POST")),
  /** `version`: of what is replaced, "" for nothing. `dryRun`: compile it with the others, change nothing. */
  putPolicy: (name: string, policy: string, inventory: string, version: string, how: HowToApply, dryRun: boolean) => {
    const init = json({ policy, inventory }, "PUT");
    const params = { dryRun: String(dryRun), enforce: String(how.enforce), confirmWithin: how.confirmWithin, rollout: how.rollout };
    return request<FirewallApplied>(`firewall/policies/${encodeURIComponent(name)}`, params, { ...init, headers: { "Content-Type": "application/json", "If-Match": `"${version}"` } });
  },
  firewallStatus: () => request<FirewallStatus>("firewall/status"),
  confirmPolicies: () => request<FirewallChange>("firewall/confirm", {}, { method: "POST" }),
  rollBackPolicies: () => request<FirewallChange>("firewall/rollback", {}, { method: "POST" }),
  removePolicy: (name: string, version: string) => request(`firewall/policies/${encodeURIComponent(name)}`, {}, { method: "DELETE", headers: { "If-Match": `"${version}"` } }),
  workers: () => request<readonly Worker[]>("workers"),
  setWorkers: (workers: readonly { url: string; tls: string }[]) => request<readonly Worker[]>("workers", {}, json(workers, "PUT")),
  jobs: () => request<readonly Job[]>("jobs"),
  runJob: (plugin: string, job: string) => request<{ error: string; seconds: number }>(`jobs/${encodeURIComponent(plugin)}/${encodeURIComponent(job)}/run`, {}, { method: "POST" }),
  settings: () => request<Settings>("settings"),
  saveSettings: (settings: { redaction: readonly unknown[] | null; max_upload_bytes: number }) => request<Settings>("settings", {}, json(settings, "PUT")),
  tryRules: (rules: readonly unknown[], kfl: string) => request<{ looked_at: number; hidden_in: number; examples: readonly string[] }>("settings/redaction/try", {}, json({ rules, kfl }, "POST")),
  health: () => request<Health>("health"),
  exportIds: async (ids: readonly string[], format: string): Promise<Blob> => {
    const init = json({ ids, format }, "POST");
    const response = await fetch(url("export"), { ...init, headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf } });
    if (!response.ok) throw await failure(response);
    return response.blob();
  },
  /** Stream a file to the hub; `progress` gets bytes sent. XMLHttpRequest, since fetch tells nothing of an upload. */
  upload: (file: File, progress: (sent: number) => void, signal: AbortSignal): Promise<ImportReport> =>
    new Promise((resolve, reject) => {
      const xhr = new XMLHttpRequest();
      xhr.open("POST", url("imports", { name: file.name }));
      xhr.setRequestHeader("X-CSRF-Token", csrf);
      xhr.setRequestHeader("Content-Type", "application/octet-stream");
      xhr.upload.onprogress = (event) => progress(event.loaded);
      xhr.onload = () => {
        let body: { error?: string } = {};
        try {
          body = JSON.parse(xhr.responseText) as { error?: string };
        } catch {
          // an error page is no JSON
        }
        if (xhr.status < 300) resolve(body as ImportReport);
        else reject(new ApiError(body.error || xhr.responseText.slice(0, 200) || `status ${xhr.status}`, xhr.status));
      };
      xhr.onerror = () => reject(new ApiError(texts.uploadEnded, 0));
      xhr.onabort = () => reject(new DOMException("cancelled", "AbortError"));
      signal.addEventListener("abort", () => xhr.abort());
      xhr.send(file);
    }),
};
