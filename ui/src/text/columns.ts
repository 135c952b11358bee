/** Texts of parts/columns.tsx. */

import type { Value } from "./_types";

export const texts = {
  columns: "Columns",
  moveToTheLeft: (name: Value): string => `Move ${name} to the left`,
  moveToTheRight: (name: Value): string => `Move ${name} to the right`,
  remove: (name: Value): string => `Remove ${name}`,
  columnOrVariableTo: "Column or variable to add",
  hostTlsxSni: "host, tlsx_sni, …",
  add: "Add",
  asItWas: "As it was",
  narrowRows: "Narrow rows",
} as const;
