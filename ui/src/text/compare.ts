/** Texts of views/compare.tsx. */

import type { Piece, Value } from "./_types";

export const texts = {
  compare: "Compare",
  markTwoEntriesWith: (kbd: Piece): Piece => ["Mark two entries with ", kbd, " (or the star of an entry), then compare them here."],
  dissectingBoth: "Dissecting both …",
  ofValuesDiffer: (differing: Value, lines: Value): string => `${differing} of ${lines} values differ`,
  allValuesAreThe: "All values are the same",
  showTheSameOnes: "show the same ones, too",
  differences: "Differences",
  value: "Value",
  notThere: "not there",
} as const;
