/** Texts of parts/follow.tsx. */

export const texts = {
  readingTheConnection: "Reading the connection …",
  formOfTheStream: "Form of the stream",
  text: "text",
  hex: "hex",
  pieces: "pieces ·",
  decrypted: " · decrypted",
  client: "client →",
  server: "← server",
  moreDownloadTheConnection: "more: download the connection",
  onlyItsBeginningDownload: "Only its beginning: download the connection for the rest.",
  morePieces: "more pieces",
} as const;
