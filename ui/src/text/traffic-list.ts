/** Texts of list/traffic-list.ts. */

export const texts = {
  oldestFirstClickNewest: "Oldest first. Click: newest first",
  newestFirstClickOldest: "Newest first. Click: oldest first",
} as const;
