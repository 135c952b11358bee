/** Texts of parts/histogram.tsx. */

import type { Value } from "./_types";

export const texts = {
  coloursOfTheTimeline: "Colours of the timeline",
  protocol: "protocol",
  status: "status",
  allTimes: "all times",
  table: "table",
  earlier: "Earlier",
  wider: "Wider",
  twiceTheTime: "Twice the time",
  later: "Later",
  entriesOverTimeThe: (entries: Value): string => `${entries} entries over time. The button “table” has the numbers.`,
  entriesOverTime: "Entries over time",
  legend: "Legend",
  entriesOverTimeAs: "Entries over time as a table",
  from: "From",
} as const;
