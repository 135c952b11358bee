/** Texts of parts/editor.ts. */

export const texts = {
  filterTypeAProtocol: "Filter: type a protocol, an address, a field",
} as const;
