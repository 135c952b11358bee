/** The filter term that a cell of the list stands for. */

import { api } from "../core/api";
import { equals, quote, sideTerm } from "../core/kfl";
import { say } from "../core/state";
import { traffic } from "../shared";
import { texts } from "../text/terms";

/** Method, status and summary mean something else in each protocol: the hub's row of the entry says what. */
export async function cellTerm(row: number, column: string): Promise<string> {
  const { rows } = traffic;
  switch (column) {
    case "protocol": return `protocol == ${quote(rows.text(row, column))}`;
    case "src": case "dst": return sideTerm(column, rows.text(row, column));
    case "elapsed": return `elapsed_time >= ${Math.round(rows.number(row, column) * 1000)}`;
    case "timestamp": case "size": {
      say(column === "size" ? texts.thereIsNoFilter : texts.dragOverTheTimeline);
      return "";
    }
    case "method": case "status": case "summary": {
      try {
        const { base } = await api.entry(rows.id(row));
        const term = { method: base.methodQuery, status: base.statusQuery, summary: base.summaryQuery }[column];
        if (!term) say(texts.thisCannotBeFiltered(column));
        return term;
      } catch (error) {
        say((error as Error).message, true);
        return "";
      }
    }
    default: return equals(column, rows.isNumber(row, column) ? rows.number(row, column) : rows.text(row, column));
  }
}
