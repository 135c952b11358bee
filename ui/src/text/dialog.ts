/** Texts of parts/dialog.tsx. */

export const texts = {
  close: "Close",
} as const;
