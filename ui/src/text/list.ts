/** Titles of columns and the states of the list in words. */

import { bytes, count, plural, seconds } from "../core/format";
import type { Standing } from "../core/traffic";

export const TITLES: Readonly<Record<string, string>> = {
  timestamp: "Time", protocol: "Protocol", method: "Method", status: "Status", src: "Source", dst: "Destination", summary: "Summary",
  elapsed: "Latency", size: "Size",
};
export const titleOf = (column: string): string => TITLES[column] ?? column;

/** The line at the foot of the list. */
export function standingText(standing: Standing, rows: number, dropped: number): string {
  const found = plural(rows, "entry", "entries");
  const read = standing.read ? ` · ${bytes(standing.read)} read` : "";
  const kept = dropped ? ` · the first ${count(dropped)} left the window` : "";
  switch (standing.phase) {
    case "connecting": return "Connecting to the hub …";
    case "queued": return `Waiting for ${plural(standing.ahead, "other query", "other queries")} …`;
    case "running": {
      const share = standing.total ? ` · ${bytes(standing.read)} of ${bytes(standing.total)}` : read;
      return `Reading … ${found}${share}${kept}`;
    }
    case "done": return `${found}${read}${standing.seconds ? ` in ${seconds(standing.seconds)}` : ""}${kept}${standing.isLive ? " · live" : ""}`;
    case "cancelled": return `Cancelled · ${found} so far${read}`;
    case "limit": return `The first ${found}: narrow the filter, or go on${kept}`;
    case "partial": return `${found} within the hub's budget: go on for the rest${read}`;
    case "failed": return standing.isOld ? "The query failed: these rows are of the one before" : "The query failed";
  }
}
