/** Texts of parts/plugin-settings.tsx. */

import type { Value } from "./_types";

export const texts = {
  hasItsNewSettings: (id: Value): string => `${id} has its new settings`,
  settings: "Settings",
  settingsOf: (id: Value): string => `Settings of ${id}`,
  save: "Save",
  undo: "Undo",
  anEmptyFieldIs: "An empty field is the default.",
  commasBetween: "commas between",
  atLeast: (minimum: Value): string => `at least ${minimum}`,
  atMost: (maximum: Value): string => `at most ${maximum}`,
  required: " (required)",
  default: "default",
} as const;
