/** Texts of parts/histogram-lazy.tsx. */

export const texts = {
  timeline: "Timeline",
} as const;
