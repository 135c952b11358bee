/** Texts of parts/terms.ts. */

import type { Value } from "./_types";

export const texts = {
  thereIsNoFilter: "There is no filter for the size of both halves",
  dragOverTheTimeline: "Drag over the timeline to choose a time",
  thisCannotBeFiltered: (column: Value): string => `This ${column} cannot be filtered by`,
} as const;
