import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Batch } from "../src/core/batches";
import { textAt } from "../src/core/batches";
import { type Done, HubSocket, type Link, type Live, type QueryRequest, type Wire } from "../src/core/socket";
import { encode } from "./batch-maker";

class Line implements Wire {
  binaryType = "";
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  sent: Record<string, unknown>[] = [];
  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }
  close(): void {
    this.onclose?.({ code: 1000 });
  }
  get query(): number {
    return this.sent.findLast((each) => each["op"] === "query")?.["id"] as number;
  }
  says(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  batch(number: number, values: string[], cursor: string, strings: string[] = []): void {
    this.onmessage?.({ data: encode(this.query, number, strings.length ? [{ name: "p", type: "dict", strings, values: values.map((each) => strings.indexOf(each)) }] : [{ name: "p", type: "text", values }], cursor) });
  }
}

const REQUEST: QueryRequest = { kfl: "http", limit: 100, order: "oldest", since: null, until: null, cursor: null, columns: ["p"], live: false };

function setUp(isKnown: () => Promise<boolean> = () => Promise.resolve(true)) {
  const lines: Line[] = [];
  const links: Link[] = [];
  const seen: string[] = [];
  const ends: Done[] = [];
  const failures: string[] = [];
  const lives: Live[] = [];
  const socket = new HubSocket(() => { const line = new Line(); lines.push(line); return line; }, (link) => links.push(link), undefined, isKnown);
  const events = {
    queued: () => undefined, progress: () => undefined,
    batch: (batch: Batch) => { const column = batch.columns.get("p"); for (let i = 0; i < batch.count; i++) seen.push(column ? textAt(column, i) : ""); },
    live: (live: Live) => lives.push(live), done: (done: Done) => ends.push(done), failed: (message: string) => failures.push(message),
  };
  return { lines, links, seen, ends, failures, lives, socket, events, line: () => lines.at(-1) as Line };
}

describe("the socket", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("asks when it is open, acknowledges each batch, and hears the end", () => {
    const { socket, events, line, seen, ends } = setUp();
    socket.query(REQUEST, events);
    expect(line().sent).toEqual([]);
    line().onopen?.();
    expect(line().sent[0]).toMatchObject({ op: "query", kfl: "http", limit: 100, cursor: null });
    line().batch(1, ["a", "b"], "after b");
    expect(line().sent.at(-1)).toEqual({ op: "ack", id: line().query, batch: 1 });
    line().says({ op: "done", id: line().query, rows: 2, cursor: null, problems: [], seconds: 1, bytes_read: 9 });
    expect(seen).toEqual(["a", "b"]);
    expect(ends[0]).toMatchObject({ rows: 2, cursor: "after b" }); // where a list that follows goes on
  });

  it("goes on live behind what is stored, and again after a lost connection, with the whole limit", () => {
    const { socket, events, line, lives, seen, ends } = setUp();
    line().onopen?.();
    socket.query({ ...REQUEST, live: true }, events);
    line().batch(1, ["a", "b"], "after b");
    line().says({ op: "live", id: line().query, rows: 2, cursor: "after b", problems: [], seconds: 1, bytes_read: 9, dropped: { segments: 0, packets: 0, connections: 0 } });
    line().batch(2, ["c"], "after c");
    expect(lives).toHaveLength(1);
    expect(seen).toEqual(["a", "b", "c"]);
    line().onclose?.({ code: 1006 });
    vi.advanceTimersByTime(300);
    line().onopen?.();
    expect(line().sent[0]).toMatchObject({ op: "query", live: true, cursor: "after c", limit: 100 });
    expect(ends).toEqual([]);
  });

  it("goes on behind the last batch when the connection was lost, with a dictionary of its own", () => {
    const { socket, events, line, lines, links, seen } = setUp();
    line().onopen?.();
    socket.query(REQUEST, events);
    line().batch(1, ["x", "y"], "after y", ["x", "y"]);
    const first = line().query;
    line().onclose?.({ code: 1006 });
    expect(links.at(-1)).toBe("lost");
    vi.advanceTimersByTime(300);
    expect(lines.length).toBe(2);
    line().onopen?.();
    expect(line().sent[0]).toMatchObject({ op: "query", cursor: "after y", limit: 98 });
    expect(line().query).not.toBe(first);
    line().batch(1, ["z"], "after z", ["z"]);
    expect(seen).toEqual(["x", "y", "z"]);
  });

  it("waits longer for a hub that stays away", () => {
    const { lines, line } = setUp();
    for (const wait of [250, 500, 1000]) {
      line().onclose?.({ code: 1006 });
      const before = lines.length;
      vi.advanceTimersByTime(wait - 1);
      expect(lines.length).toBe(before);
      vi.advanceTimersByTime(1);
      expect(lines.length).toBe(before + 1);
    }
  });

  it("ends with its session, whether the hub says so or a handshake is refused", async () => {
    for (const code of [4401, 1006]) {
      const { socket, events, lines, line, links, failures } = setUp(() => Promise.resolve(false));
      if (code === 4401) line().onopen?.();
      socket.query(REQUEST, events);
      line().onclose?.({ code });
      await vi.advanceTimersByTimeAsync(60_000);
      expect(links.at(-1)).toBe("out");
      expect(lines.length).toBe(1);
      expect(failures).toEqual([expect.stringContaining("signed out")]);
      socket.query(REQUEST, events);
      expect(failures).toHaveLength(2);
    }
  });

  it("sends no filter that is too long, and takes the end of a message that was as the query's", async () => {
    const { socket, events, lines, line, failures } = setUp();
    line().onopen?.();
    socket.query({ ...REQUEST, kfl: "ä".repeat(8 * 1024) + "a" }, events);
    expect([line().sent, failures]).toEqual([[], ["the filter is longer than 16 KiB"]]);
    socket.query({ ...REQUEST, kfl: "ä".repeat(8 * 1024) }, events);
    expect(line().sent).toHaveLength(1);
    line().onclose?.({ code: 1009 });
    expect(failures).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(300);
    expect(lines.length).toBe(2);
    line().onopen?.();
    expect(line().sent).toEqual([]);
  });

  it("waits longer for a hub that answers nothing, and no longer for one that did", async () => {
    const { socket, events, lines, line } = setUp();
    socket.query(REQUEST, events);
    for (const wait of [250, 500, 1000]) {
      line().onopen?.();
      if (wait === 1000) line().says({ op: "progress", id: line().query, bytes_read: 0, bytes_total: 0, rows: 0 });
      line().onclose?.({ code: 1006 });
      const before = lines.length;
      await vi.advanceTimersByTimeAsync(wait === 1000 ? 250 : wait);
      expect(lines.length).toBe(before + 1);
    }
  });

  it("hears nothing more of a query that another took the place of", () => {
    const { socket, events, line, seen, failures } = setUp();
    line().onopen?.();
    socket.query(REQUEST, events);
    const old = line().query;
    socket.query({ ...REQUEST, kfl: "dns" }, events);
    expect(line().sent.map((each) => each["op"])).toEqual(["query", "cancel", "query"]);
    line().onmessage?.({ data: encode(old, 1, [{ name: "p", type: "text", values: ["old"] }]) });
    line().says({ op: "error", id: old, message: "old" });
    expect([seen, failures]).toEqual([[], []]);
  });

  it("says so when a batch cannot be read, and asks for no more of it", () => {
    const { socket, events, line, failures } = setUp();
    line().onopen?.();
    socket.query(REQUEST, events);
    const broken = new Uint8Array(encode(line().query, 1, [{ name: "p", type: "text", values: ["a"] }]));
    line().onmessage?.({ data: broken.slice(0, -1).buffer });
    expect(failures[0]).toContain("cannot be read");
    expect(line().sent.at(-1)).toMatchObject({ op: "cancel" });
  });
});
