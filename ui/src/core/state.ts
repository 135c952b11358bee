/** What several parts of the page share: where one is (kept in the URL), preferences (kept in the browser), the session. */

import { computed, effect, signal } from "@preact/signals";
import { and, andNot, withoutLast } from "./kfl";
import { texts } from "../text/core";
import type { Session } from "./types";

export const VIEWS = ["traffic", "map", "captures", "plugins", "settings", "firewall", "workers", "timeline"] as const;
export type View = (typeof VIEWS)[number];

/** A place in the page: all of it is in the URL, the token never is. */
export interface Place {
  readonly view: View;
  readonly kfl: string;
  readonly since: string; // nanoseconds as text, "" for the store's begin
  readonly until: string;
  readonly entry: string;
  readonly against_since: string; // of the time that the map compares with
  readonly against_until: string;
}

export function placeOf(search: string): Place {
  const params = new URLSearchParams(search);
  const view = params.get("view") as View;
  const ns = (name: string): string => (/^\d{1,20}$/.test(params.get(name) ?? "") ? (params.get(name) ?? "") : "");
  return {
    view: VIEWS.includes(view) ? view : "traffic",
    kfl: params.get("kfl") ?? "",
    since: ns("since"),
    until: ns("until"),
    entry: params.get("entry") ?? "",
    against_since: ns("against_since"),
    against_until: ns("against_until"),
  };
}

export function searchOf(place: Place): string {
  const params = new URLSearchParams();
  if (place.view !== "traffic") params.set("view", place.view);
  for (const name of ["kfl", "since", "until", "entry", "against_since", "against_until"] as const) if (place[name]) params.set(name, place[name]);
  const text = params.toString();
  return text ? `?${text}` : location.pathname;
}

export const place = signal<Place>(placeOf(location.search));
addEventListener("popstate", () => (place.value = placeOf(location.search)));

/** Go somewhere; `replace` leaves no step to go back to. */
export function go(change: Partial<Place>, replace = false): void {
  const next = { ...place.value, ...change };
  if (JSON.stringify(next) === JSON.stringify(place.value)) return;
  place.value = next;
  if (replace) history.replaceState(null, "", searchOf(next));
  else history.pushState(null, "", searchOf(next));
}

/** What is searched for: a change of it runs a query. */
export const search = computed(() => {
  const { kfl, since, until } = place.value;
  return JSON.stringify([kfl, since, until]);
});

export const undoable = signal<string[]>([]);

export function setFilter(kfl: string, options: { isUndo?: boolean } = {}): void {
  const before = place.value.kfl;
  if (kfl === before) return;
  if (!options.isUndo) undoable.value = [...undoable.value.slice(-50), before];
  if (kfl) remember(kfl);
  go({ kfl });
}

export const include = (term: string): void => setFilter(and(place.value.kfl, term));
export const exclude = (term: string): void => setFilter(andNot(place.value.kfl, term));
export const dropLast = (): void => setFilter(withoutLast(place.value.kfl));

export function undo(): void {
  const last = undoable.value.at(-1);
  if (last === undefined) return;
  undoable.value = undoable.value.slice(0, -1);
  setFilter(last, { isUndo: true });
}

// Preferences

function stored<T>(name: string, otherwise: T) {
  let begin = otherwise;
  try {
    const text = localStorage.getItem(`kubeshark.${name}`);
    if (text !== null) begin = JSON.parse(text) as T;
  } catch {
    // private windows may have no storage, and what lies there may be anything
  }
  const kept = signal<T>(begin);
  effect(() => {
    const text = JSON.stringify(kept.value);
    try {
      localStorage.setItem(`kubeshark.${name}`, text);
    } catch {
      // not kept, then
    }
  });
  return kept;
}

export type Theme = "auto" | "light" | "dark";
export const theme = stored<Theme>("theme", "auto");
export const zone = stored<"local" | "utc">("zone", "local");
export const density = stored<"normal" | "compact">("density", "normal");
export const letterKeys = stored<boolean>("letterKeys", true);
export const order = stored<"oldest" | "newest">("order", "oldest");
export const history_ = stored<string[]>("history", []);
export const detailShare = stored<number>("detailShare", 44);

export interface ColumnChoice {
  readonly name: string;
  readonly width: number; // px; 0: what is left
}
export const COLUMNS: readonly ColumnChoice[] = [
  { name: "timestamp", width: 116 },
  { name: "protocol", width: 116 },
  { name: "method", width: 92 },
  { name: "status", width: 70 },
  { name: "src", width: 156 },
  { name: "dst", width: 156 },
  { name: "summary", width: 0 },
  { name: "elapsed", width: 76 },
  { name: "size", width: 76 },
];
export const columns = stored<ColumnChoice[]>("columns", [...COLUMNS]);
if (!Array.isArray(columns.value) || !columns.value.every((c) => typeof c?.name === "string" && typeof c.width === "number")) columns.value = [...COLUMNS];

const HISTORY = 50;
function remember(kfl: string): void {
  history_.value = [kfl, ...history_.value.filter((each) => each !== kfl)].slice(0, HISTORY);
}

effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
});

// Session

export const session = signal<Session | null>(null);
export const may = (right: string): boolean => session.value?.rights.includes(right) ?? false;

/** A short word at the foot of the page, also said to screen readers. */
export const notice = signal<{ text: string; isBad: boolean; n: number } | null>(null);
let notices = 0;
export function say(text: string, isBad = false): void {
  const mine = ++notices;
  notice.value = { text, isBad, n: mine };
  if (!isBad) setTimeout(() => { if (notice.peek()?.n === mine) notice.value = null; }, 4000);
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say(texts.copied);
  } catch {
    say(texts.copyRefused, true);
  }
}

export const marks = signal<readonly string[]>([]);
export function toggleMark(id: string): void {
  marks.value = marks.value.includes(id) ? marks.value.filter((each) => each !== id) : [...marks.value, id];
}
export const dialog = signal<"" | "help" | "compare" | "export" | "columns" | "explain" | "workers">("");
