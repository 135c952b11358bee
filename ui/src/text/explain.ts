/** Texts of parts/explain.tsx. */

import type { Piece } from "./_types";

export const texts = {
  explainTheQuery: "Explain the query",
  everything: "Everything",
  inTheChosenTime: ", in the chosen time",
  runningItOnceMore: "Running it once more …",
  inRead: (entries: Piece, seconds: Piece, bytesread: Piece, stopped: Piece): Piece => [entries, " in ", seconds, ", ", bytesread, " read.", stopped],
  itEndedEarly: "It ended early:",
  aSecondRunFinds: "A second run finds in memory what the first one read.",
  copy: "Copy",
  close: "Close",
} as const;
