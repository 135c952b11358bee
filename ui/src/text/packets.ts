/** Texts of parts/packets.tsx. */

import type { Value } from "./_types";

export const texts = {
  noPacketOfIt: "No packet of it is in the store.",
  readingTheConnection: "Reading the connection …",
  whichPackets: "Which packets",
  ofTheEntry: "of the entry",
  ofTheConnection: "of the connection",
  ofTheEntryAmong: "of the entry among",
  readSoFar: " read so far",
  packets: "Packets",
  no: "No.",
  time: "Time",
  after: "After",
  sentBy: "Sent by",
  length: "Length",
  payload: "Payload",
  flags: "Flags",
  noneOfTheseThe: "None of these: the message lies further on.",
  more: "more",
  bytesOfPacket: (number: Value): string => `Bytes of packet ${number}`,
  server: "← server",
  client: "client →",
  captured: "captured",
  reading: "Reading …",
} as const;
