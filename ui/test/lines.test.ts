import { describe, expect, it } from "vitest";
import { eachLine, share } from "../src/core/lines";

function body(...pieces: readonly (string | Uint8Array)[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(control) {
      for (const piece of pieces) control.enqueue(typeof piece === "string" ? new TextEncoder().encode(piece) : piece);
      control.close();
    },
  });
}

async function lines(stream: ReadableStream<Uint8Array>): Promise<string[]> {
  const found: string[] = [];
  await eachLine(stream, (line) => found.push(line));
  return found;
}

describe("lines of a body", () => {
  it("are the same wherever it is cut", async () => {
    const bytes = new TextEncoder().encode('{"a":"é"}\n{"b":"→"}\n\nlast');
    for (let cut = 0; cut <= bytes.length; cut++) expect(await lines(body(bytes.slice(0, cut), bytes.slice(cut)))).toEqual(['{"a":"é"}', '{"b":"→"}', "last"]);
  });

  it("are none of nothing", async () => expect(await lines(body())).toEqual([]));

  it("end with what ends it", async () => {
    const broken = new ReadableStream<Uint8Array>({ pull: (control) => control.error(new Error("gone")) });
    await expect(lines(broken)).rejects.toThrow("gone");
  });
});

describe("the share that is done", () => {
  const told = { op: "progress", counted_until: "", seconds: 1 } as const;
  it("is not known before the whole is", () => expect(share({ ...told, bytes_read: 0, bytes_total: 0 })).toBeNull());
  it("never passes one", () => expect(share({ ...told, bytes_read: 12, bytes_total: 10 })).toBe(1));
});
