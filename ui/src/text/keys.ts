/** The table of keys, as the help lists it. What they do is in src/keys.ts. */

export interface KeyHelp {
  readonly keys: string;
  readonly does: string;
}

export const KEYS: readonly KeyHelp[] = [
  { keys: "/ or Ctrl-K", does: "filter bar" },
  { keys: "Enter, Ctrl-Enter", does: "in the filter: apply it" },
  { keys: "j k, ↓ ↑", does: "next, previous entry" },
  { keys: "PageDown, PageUp, Home, End", does: "a page on or back, first, last" },
  { keys: "← →", does: "cell of the row" },
  { keys: "Enter", does: "open the entry" },
  { keys: "Esc", does: "close, leave, cancel the query" },
  { keys: "f  F", does: "add the cell to the filter, exclude it" },
  { keys: "u", does: "undo the last change of the filter" },
  { keys: "Space  G", does: "pause or go on, follow the end" },
  { keys: "[  ]", does: "previous, next entry of the connection" },
  { keys: "m  n  N", does: "mark, next mark, previous mark" },
  { keys: "c", does: "compare two marked entries" },
  { keys: "y", does: "copy the cell" },
  { keys: "e", does: "export …" },
  { keys: "x", does: "explain the query" },
  { keys: "z", does: "fold the sections" },
  { keys: "1 … 8", does: "views: traffic, map, captures, plugins, settings, firewall, workers, timeline" },
  { keys: "F6, Shift-F6", does: "next, previous pane" },
  { keys: "Alt-← →", does: "back and on in the filter's history" },
  { keys: "+ - 0", does: "in the map and the timeline: closer, further, all of it" },
  { keys: "Shift-← →", does: "in the timeline: earlier, later" },
  { keys: "t", does: "theme" },
  { keys: "?", does: "this help" },
];
