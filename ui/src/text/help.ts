/** Texts of parts/help.tsx. */

import type { Piece } from "./_types";

export const texts = {
  failedHttp: "failed HTTP",
  oneClientOnePort: "one client, one port",
  namesThatWereNot: "names that were not found",
  slowerThan250Ms: "slower than 250 ms (in µs)",
  writesToAnApi: "writes to an API",
  halfConnectionsAndWhat: "half connections, and what could not be read",
  help: "Help",
  keys: "Keys",
  singleLettersAreKeys: "Single letters are keys",
  mouse: "Mouse",
  aClickOnA: (kbd: Piece, kbd2: Piece): Piece => ["A click on a row opens it. A click on its protocol, method, status or an address adds that to the filter; with ", kbd, " it is excluded. ", kbd2, "-click does so for any cell. A drag over the timeline chooses a time."],
  alt: "Alt",
  ctrl: "Ctrl",
  filterLanguage: "Filter language",
  joinedByAndBrackets: (code: Piece, code2: Piece, code3: Piece, code4: Piece, code5: Piece, code6: Piece, code7: Piece, code8: Piece): Piece => ["Joined by ", code, ", ", code2, ", ", code3, " and brackets. Text has ", code4, ", ", code5, ", ", code6, ", ", code7, "; lists are asked with ", code8, "."],
  contains: "contains",
  startswith: "startsWith",
  endswith: "endsWith",
  matches: "matches",
  in: "in",
} as const;
