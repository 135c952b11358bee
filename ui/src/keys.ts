/** Keys that work everywhere. Single letters only outside of inputs, and only while they are switched on (WCAG 2.1.4). */

import { VIEWS, copy, dialog, exclude, go, include, letterKeys, marks, order, place, theme, toggleMark, undo } from "./core/state";
import { cellTerm } from "./parts/terms";
import { shown, traffic } from "./shared";

const PANES = [".filter", ".list-scroll", ".lanes-plot", ".map-canvas", ".detail", "nav"];

function pane(step: number): void {
  const panes = PANES.map((each) => document.querySelector<HTMLElement>(each)).filter((each) => each !== null);
  const at = panes.findIndex((each) => each.contains(document.activeElement));
  const next = panes[(at + step + panes.length) % panes.length];
  const into = next?.matches(".list-scroll, .lanes-plot, .detail") ? next : next?.querySelector<HTMLElement>("input, [contenteditable], button, canvas, .editor");
  into?.focus();
}

function nextMark(step: number): void {
  const { list } = shown;
  const { rows } = traffic;
  if (!list || !marks.value.length) return;
  const wanted = new Set(marks.value);
  for (let k = 1, at = Math.max(0, list.selection); k <= rows.count; k++) {
    at = (at + step + rows.count) % rows.count;
    if (wanted.has(rows.id(at))) return list.select(at);
  }
}

export async function addCell(isExclude: boolean): Promise<void> {
  const { list } = shown;
  if (!list || list.selection < 0) return;
  const term = await cellTerm(list.selection, list.column);
  if (term) (isExclude ? exclude : include)(term);
}

export function setFollow(on: boolean): void {
  if (on && order.value === "newest") order.value = "oldest";
  traffic.following.value = on;
  if (on) {
    traffic.unseen.value = 0;
    shown.list?.toEnd();
  }
}

/** The filter gets the focus, or will when it is there: other views have none. */
function toFilter(): void {
  if (shown.focusFilter) return shown.focusFilter();
  shown.wantsFilter = true;
  if (!["map", "timeline"].includes(place.value.view)) go({ view: "traffic" });
}

function isTyping(target: EventTarget | null): boolean {
  const path = target instanceof Element && target.shadowRoot ? target.shadowRoot.activeElement : target;
  return path instanceof HTMLElement && (path.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(path.tagName));
}

export function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented) return;
  const { list } = shown;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    toFilter();
    return;
  }
  if (event.key === "F6") {
    event.preventDefault();
    pane(event.shiftKey ? -1 : 1);
    return;
  }
  // Asked of the page: a dialog that Esc closed says so a moment after it is gone, and the next key is not for it.
  const isInDialog = document.querySelector("dialog[open]") !== null;
  if (isInDialog || isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (traffic.isRunning.value && !place.value.entry) traffic.stop();
    else if (place.value.entry) {
      go({ entry: "" });
      if (list) list.focus();
      else document.querySelector<HTMLElement>(".lanes-plot")?.focus();
    }
    return;
  }
  const onButton = event.target instanceof Element && event.target.closest("button, a, summary") !== null;
  if (!letterKeys.value || (event.key === " " && onButton)) return;
  const selected = list?.selection ?? -1;
  const actions: Record<string, () => void> = {
    "/": toFilter,
    j: () => list?.select(selected + 1),
    k: () => list?.select(Math.max(0, selected - 1)),
    " ": () => setFollow(!traffic.following.value),
    G: () => setFollow(true),
    f: () => void addCell(false),
    F: () => void addCell(true),
    u: undo,
    m: () => selected >= 0 && toggleMark(traffic.rows.id(selected)),
    n: () => nextMark(1),
    N: () => nextMark(-1),
    c: () => (dialog.value = "compare"),
    e: () => (dialog.value = "export"),
    x: () => (dialog.value = "explain"),
    y: () => list && selected >= 0 && void copy(list.cellText(selected, list.column)),
    t: () => (theme.value = theme.value === "dark" ? "light" : "dark"),
    "?": () => (dialog.value = "help"),
    "[": () => document.querySelector<HTMLButtonElement>("[data-do=previous]")?.click(),
    "]": () => document.querySelector<HTMLButtonElement>("[data-do=next]")?.click(),
    z: () => {
      const folds = [...document.querySelectorAll<HTMLDetailsElement>(".detail details")];
      const open = !folds.some((each) => each.open);
      for (const each of folds) each.open = open;
    },
  };
  const view = VIEWS[Number(event.key) - 1];
  const action = view && event.key.length === 1 ? () => go({ view }) : actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}
