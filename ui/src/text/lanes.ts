/** Texts of the timeline. */

import { count, latency, plural } from "../core/format";

export const lanes = {
  groupBy: "Lanes",
  groups: { peers: "pairs of peers", service: "services", stream: "connections" },
  form: "Form",
  asBars: "bars",
  asTable: "table",
  allTimes: "all times",
  fit: "Fit",
  fitTitle: "The time in which anything happens (0)",
  closer: "Half the time (+)",
  wider: "Twice the time (−)",
  earlier: "Earlier (Shift-←)",
  later: "Later (Shift-→)",
  failed: "No timeline",
  adding: "Adding up …",
  nothing: "Nothing happens",
  noMatch: "No entry of this time matches the filter.",
  noEntry: "The store holds no entry of this time.",
  summary: (shown: number, entries: number): string => `${plural(shown, "lane")}, ${plural(entries, "entry", "entries")}`,
  hidden: (more: number, entries: number): string => `; ${plural(more, "lane")} with ${plural(entries, "entry", "entries")} ${more === 1 ? "is" : "are"} hidden: narrow the filter or the time`,
  stopped: (why: string): string => `; stopped: ${why}`,
  canvas: (shown: number): string =>
    `Timeline of ${plural(shown, "lane")}. Arrow keys walk from bar to bar, Enter opens an entry or goes into a bar of several, plus and minus zoom, Shift and arrows move in time, 0 fits, f filters by the lane. The button “table” has the numbers.`,
  table: "Lanes as a table",
  columns: { lane: "Lane", entries: "Entries", errors: "Errors", first: "First", last: "Last", protocols: "Protocols", actions: "Actions" },
  first: "First entry",
  only: "Filter",
  bar: (entries: number, errors: number, protocol: string, time: string, ms: number): string =>
    [`${time}`, `${plural(entries, "entry", "entries")}${errors ? `, ${plural(errors, "error")}` : ""}`, entries > 1 ? `mostly ${protocol}` : protocol, latency(ms)].filter(Boolean).join(" · "),
  laneTold: (entries: number, errors: number): string => `${plural(entries, "entry", "entries")}${errors ? `, ${plural(errors, "error")}` : ""}. Click: only these`,
  open: "Click or Enter: opens it",
  into: "Click or Enter: into its time",
  more: (rows: number): string => `${count(rows)} more`,
} as const;
