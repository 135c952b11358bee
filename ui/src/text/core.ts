/** Texts of what goes on behind the views: the hub's answers, the clipboard, batches that cannot be read. */

import { plural } from "../core/format";
import type { Value } from "./_types";

export const texts = {
  noAnswer: "the hub does not answer: is kubeshark serve still running?",
  signedOut: "you are signed out: open the URL with your token again, or reload the page to sign in",
  filterTooLong: "the filter is longer than 16 KiB",
  uploadEnded: "the hub ended the upload",
  copied: "Copied",
  copyRefused: "The browser refused to copy",
  passedOver: (packets: number, connections: number): string =>
    `too slow: ${plural(packets, "packet")} and ${plural(connections, "connection")} were passed over; a query shows them`,
  badBatch: (why: Value): string => `the hub sent a batch that cannot be read: ${why}`,
  short: "shorter than a batch's head",
  noBatch: "not a batch",
  headerOutside: "the header ends outside of the batch",
  headerNoJson: "the header is no JSON",
  noColumns: "the header lists no columns",
  columnOutside: (name: Value): string => `column ${name} ends outside of the batch`,
  offsetsFall: (name: Value): string => `offsets of ${name} fall`,
  textsOutside: (name: Value): string => `texts of ${name} end outside of the batch`,
  unknownColumn: (name: Value, type: Value): string => `unknown column ${name} of type ${type}`,
  neverSent: (name: Value): string => `column ${name} names a string that was never sent`,
} as const;
