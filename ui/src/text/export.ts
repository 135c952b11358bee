/** Texts of parts/export.tsx. */

import type { Piece } from "./_types";

export const texts = {
  pcapngPacketsAsThey: "pcapng: packets as they were captured",
  pcapForToolsThat: "pcap: for tools that know no other",
  harHttpExchangesWith: "HAR: HTTP exchanges, with secrets hidden",
  theBegin: "the begin",
  theEnd: "the end",
  export: "Export",
  what: "What",
  theConnectionsOfWhat: "The connections of what matches",
  everything: "everything",
  entriesShown: "entries shown)",
  ofMarked: (part1: Piece, marks: Piece): Piece => [part1, " The connections of the ", marks, " marked entries"],
  as: "As",
  packetsCannotBeRedacted: "Packets cannot be redacted: exporting them needs the right “raw”.",
  cancel: "Cancel",
} as const;
