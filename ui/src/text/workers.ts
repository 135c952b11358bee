/** Texts of workers and of what becomes of packets. */

import { bytes, count, plural, seconds } from "../core/format";

const states: Readonly<Record<string, string>> = { up: "ok", late: "late", away: "gone", unknown: "not asked yet" };

export const workers = {
  title: "Workers",
  none: "No worker is queried: this hub shows its own store.",
  states,
  badge: (up: number, all: number): string => (up === all ? plural(all, "worker") : `${count(up)} of ${plural(all, "worker")}`),
  badgeTitle: "Workers: who answers, and what they drop",
  since: (state: string, time: number): string => `${states[state] ?? state} for ${seconds(Math.max(0, Math.round(time)))}`,
  columns: { worker: "Worker", state: "State", version: "Version", clock: "Clock", store: "Store", captured: "Capture", actions: "Actions" },
  clock: (ahead: number): string => `${ahead < 0 ? "−" : "+"}${Math.abs(ahead).toFixed(1)} s`,
  clockOff: (ahead: number): string => `its clock is ${Math.abs(ahead).toFixed(1)} s ${ahead < 0 ? "behind" : "ahead"}`,
  store: (segments: number, size: number, free: number): string => `${plural(segments, "segment")}, ${bytes(size)}; ${bytes(free)} free`,
  noCapture: "none",
  captureTrouble: (state: string): string => `does not capture: ${state}`,
  pods: (number: number): string => plural(number, "selected pod"),
  schedule: (name: string): string => `schedule ${name}`,
  capturesNothing: (why: string): string => `captures nothing now: ${why}`,
  leftOut: (number: number): string => `${plural(number, "address", "addresses")} not captured: the kernel has no room for more`,
  waiting: (number: number): string => `${plural(number, "pod")} without an address yet`,
  sharing: (number: number): string => `${plural(number, "pod")} in the network of the node not captured`,
  restarts: (number: number): string => `began again ${plural(number, "time")}`,
  serves: (why: string): string => `serves nothing: ${why}`,
  byOption: "by an option of serve",
  add: "Add a worker",
  url: "URL",
  urlHint: "https://node-1:8898",
  tls: "Folder of its certificates",
  tlsHint: "as serve was told",
  addButton: "Add",
  remove: "Remove",
  removeName: (name: string): string => `Remove ${name}`,
  removed: (name: string): string => `${name} is not queried any more`,
  added: (name: string): string => `${name} is queried from now on`,
  about: "Queried with the hub's own store. Certificates are files on the hub's machine: tls.crt, tls.key and ca.crt in a folder.",
} as const;

/** received − dropped − filtered − lost = stored. */
export interface Counted {
  readonly received: number;
  readonly dropped: number;
  readonly filtered?: number;
  readonly lost: number;
  readonly stored: number;
}

export const packets = {
  counters: ({ received, dropped, filtered = 0, lost, stored }: Counted): string =>
    [`received ${count(received)}`, dropped ? `dropped by the kernel ${count(dropped)}` : "", filtered ? `filtered ${count(filtered)}` : "", lost ? `lost ${count(lost)}` : "", `stored ${count(stored)}`].filter(Boolean).join(" · "),
  dropped: (number: number): string => `${plural(number, "packet")} dropped`,
  droppedTitle: (dropped: number, lost: number): string =>
    `Since the capture began: ${count(dropped)} had no room in the kernel, ${count(lost)} were lost because storing did not keep up`,
  seen: (place: string, counters: string): string => `${place}: ${counters}`,
  causes: "No packet was stored so far. Most often the interface is another one than the traffic uses, or the capture filter leaves nothing.",
} as const;
