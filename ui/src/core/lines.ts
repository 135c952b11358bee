/** Sums that the hub tells as they grow: JSON lines, the last of which is the whole answer (docs/hub-api.md, "Sums"). */

/** How far a sum is; `answer` is there once something was added up. */
export interface Told<T> {
  readonly op: "progress" | "partial" | "done";
  readonly bytes_read: number;
  readonly bytes_total: number;
  readonly counted_until: string; // ns since 1970; "": everything
  readonly seconds: number;
  readonly answer?: T;
}

/** Cut a body into lines as it comes; what it ends with without a line's end is a line too. */
export async function eachLine(body: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const lines = (rest + (done ? decoder.decode() : decoder.decode(value, { stream: true }))).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line) take(line);
    if (done) break;
  }
  if (rest) take(rest);
}

/** From 0 to 1; null while that is not known. */
export function share(told: Told<unknown>): number | null {
  return told.bytes_total > 0 ? Math.min(1, told.bytes_read / told.bytes_total) : null;
}
