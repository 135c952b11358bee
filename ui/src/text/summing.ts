/** Texts of parts/summing.tsx. */

export const texts = {
  adding: "Adding up",
  percent: (percent: number): string => `${percent} %`,
  stop: "Stop",
  countedUntil: (time: string, percent: string): string => `stopped: what begins before ${time} was counted, ${percent} % of the packets`,
  nothingCounted: "stopped before anything was counted",
  countAll: "Count everything",
} as const;
