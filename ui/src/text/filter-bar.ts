/** Texts of parts/filter-bar.tsx. */

export const texts = {
  filter: "Filter",
  filterSuchAsHttp: "Filter, such as   http && status_code >= 400   or   dst.ip == \"10.0.0.7\"",
  clearTheFilter: "Clear the filter",
  clear: "Clear",
  savedAndEarlierFilters: "Saved and earlier filters",
  apply: "Apply",
  dropTheLastTerm: "Drop the last term",
} as const;
