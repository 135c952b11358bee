/** Texts of parts/filters-menu.tsx. */

import type { Value } from "./_types";

export const texts = {
  nameToSaveThe: "Name to save the filter as",
  saveThisFilterAs: "save this filter as …",
  replace: "Replace",
  save: "Save",
  saved: "Saved",
  forgetTheFilter: (name: Value): string => `Forget the filter ${name}`,
  forget: "Forget",
  earlier: "Earlier",
  noFilterYetWhat: "No filter yet: what you apply is listed here, what you save is kept on the hub.",
} as const;
