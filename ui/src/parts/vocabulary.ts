/** Words of the filter language as the hub knows them, plugins' included; asked once. */

import type { Completion } from "@codemirror/autocomplete";
import { api } from "../core/api";

let asked: Promise<Completion[]> | null = null;

export function completions(): Promise<Completion[]> {
  asked ??= api.kfl().then((kfl) => wordsOf(kfl)).catch(() => {
    asked = null; // another focus asks again
    return [];
  });
  return asked;
}

/** `variables`, `functions` and `keywords` of the hub's answer; whatever else comes is left out. */
export function wordsOf(kfl: Readonly<Record<string, unknown>>): Completion[] {
  const list = (name: string): unknown[] => (Array.isArray(kfl[name]) ? (kfl[name] as unknown[]) : []);
  const found: Completion[] = [];
  for (const each of list("variables") as { name?: string; type?: string; section?: string }[]) {
    if (each.name) found.push({ label: each.name, detail: each.type ?? "", type: "variable", boost: each.section === "flags" ? 2 : 1 });
  }
  for (const each of list("functions") as { name?: string; kind?: string; parameters?: string[]; plugin?: string }[]) {
    if (each.name) found.push({ label: each.name, detail: each.plugin || `(${(each.parameters ?? []).join(", ")})`, type: "function", apply: `${each.name}()` });
  }
  for (const each of list("keywords")) if (typeof each === "string") found.push({ label: each, type: "keyword" });
  return found;
}
