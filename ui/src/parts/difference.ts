/** What two entries have in common and what not: their tables and bodies, row by row. Pure. */

import { latency } from "../core/format";
import { HALVES, type Entry, type Section, type TableRow } from "../core/types";

export interface Line {
  readonly place: string; // "Request · Headers"
  readonly name: string;
  readonly left: string | null; // null: not there
  readonly right: string | null;
}

function rowsOf(section: Section): readonly { name: string; value: TableRow["value"] }[] {
  switch (section.type) {
    case "table": return section.tableData ?? [];
    case "timeline": return (section.points ?? []).map(({ label, t }) => ({ name: label, value: latency(t / 1000) || "0" }));
    default: return [{ name: section.type, value: section.body ?? "" }];
  }
}

function flat(entry: Entry): Map<string, { place: string; name: string; value: string }> {
  const found = new Map<string, { place: string; name: string; value: string }>();
  for (const half of HALVES) {
    for (const section of entry.representation[half] ?? []) {
      const place = `${half[0]?.toUpperCase()}${half.slice(1)} · ${section.title}`;
      for (const { name, value } of rowsOf(section)) {
        let key = `${place} ${name}`;
        for (let n = 2; found.has(key); n++) key = `${place} ${name} ${n}`; // a header may come twice
        found.set(key, { place, name, value: value === null ? "" : String(value) });
      }
    }
  }
  return found;
}

export function difference(left: Entry, right: Entry): Line[] {
  const a = flat(left);
  const b = flat(right);
  const keys = [...new Set([...a.keys(), ...b.keys()])];
  return keys.map((key) => {
    const { place, name } = a.get(key) ?? b.get(key) ?? { place: "", name: "" };
    return { place, name, left: a.get(key)?.value ?? null, right: b.get(key)?.value ?? null };
  });
}
