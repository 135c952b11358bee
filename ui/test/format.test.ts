import { describe, expect, it } from "vitest";
import { hexLines, jsonTokens, prettyJson } from "../src/core/bytes";
import { bytes, clock, dayClock, differIn, latency, moment, tcpFlags, verdict, visible } from "../src/core/format";
import { standingText } from "../src/text/list";
import { stack } from "../src/parts/stack";
import { difference } from "../src/parts/difference";
import { wordsOf } from "../src/parts/vocabulary";
import type { Entry } from "../src/core/types";

describe("numbers as they are read", () => {
  it("times", () => {
    expect(clock(1795440760210.9, "utc")).toBe("13:32:40.210");
    expect(clock(-1, "utc")).toBe("23:59:59.999");
    expect(moment(0, "utc")).toBe("1970-01-01 00:00:00.000");
    expect([0, 0.25, 5.04, 42.4, 999.4, 1500, 61_000, 9_000_000, 400 * 86_400_000].map(latency)).toEqual(["", "250 µs", "5.0 ms", "42 ms", "999 ms", "1.50 s", "1 min 1 s", "2 h 30 min", "400 d"]);
  });
  it("days", () => {
    expect(dayClock(1795440760210.9, "utc")).toBe("11-23 13:32:40.210");
    expect(differIn(86_399_999, 86_400_000, "utc")).toBe("day");
    expect(differIn(0, 86_399_999, "utc")).toBe("");
    expect(differIn(0, 1_795_440_760_210, "utc")).toBe("year");
  });
  it("flags of TCP", () => {
    expect([0x02, 0x12, 0x11, 0x18, 0xc0, 0].map(tcpFlags)).toEqual(["SYN", "SYN ACK", "FIN ACK", "PSH ACK", "ECE CWR", ""]);
  });
  it("sizes", () => {
    expect([0, 999, 1000, 123_456, 999_900, 5.5e9].map(bytes)).toEqual(["0 B", "999 B", "1.00 kB", "123 kB", "1.00 MB", "5.50 GB"]);
  });
  it("what nobody sees in a text", () => {
    expect(visible("/a\u202egpj.exe \x1b[31m\x85")).toBe("/a\\u202egpj.exe \\x1b[31m\\x85");
    expect(visible("שלום\tمرحبا\r\n👩\u200d💻 é")).toBe("שלום\tمرحبا\r\n👩\u200d💻 é");
  });
  it("statuses", () => {
    expect(verdict("HTTP", 200, false)).toBe("ok");
    expect(verdict("HTTP", 404, false)).toBe("warn");
    expect(verdict("HTTP", 503, false)).toBe("bad");
    expect(verdict("SMTP", 250, false)).toBe("ok");
    expect(verdict("DNS", 0, false)).toBe("none");
    expect(verdict("DNS", 3, false)).toBe("warn");
    expect(verdict("MYSQL", 1064, false)).toBe("bad");
    expect(verdict("HTTP", 0, true)).toBe("bad");
  });
  it("the list's state", () => {
    const begin = { phase: "running", ahead: 0, read: 0, total: 0, seconds: 0, problems: [], error: "", column: 0, isLive: false, isOld: false } as const;
    expect(standingText({ ...begin, read: 5e6, total: 1e7 }, 1, 0)).toBe("Reading … 1 entry · 5.00 MB of 10.0 MB");
    expect(standingText({ ...begin, phase: "done", read: 5e6, seconds: 0.25 }, 1200, 0)).toBe("1,200 entries · 5.00 MB read in 250 ms");
    expect(standingText({ ...begin, phase: "limit" }, 1_000_000, 5)).toContain("go on");
  });
});

describe("bodies", () => {
  it("hex", () => {
    const [first, second] = hexLines(Uint8Array.from({ length: 17 }, (_, i) => i + 60), 0, 9);
    expect(first?.text).toBe("<=>?@ABCDEFGHIJK");
    expect(second).toEqual({ offset: "00000010", bytes: ["4c"], text: "L" });
  });
  it("JSON keeps its text when it is coloured", () => {
    const text = '{"a": [1, -2.5e3, true, null], "b\\"": "<script>"}';
    const tokens = jsonTokens(text);
    expect(tokens.map(([, part]) => part).join("")).toBe(text);
    expect(tokens.filter(([kind]) => kind === "key").map(([, part]) => part)).toEqual(['"a"', '"b\\""']);
    expect(prettyJson("[1]")).toBe("[\n  1\n]");
    expect(prettyJson("{x")).toBeNull();
    expect(prettyJson("12")).toBeNull();
  });
});

describe("the timeline", () => {
  it("stacks the largest series, and adds up the rest", () => {
    const series = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`P${i}`, [i + 1, 0]]));
    const layers = stack({ start: 0, width: 1, series, entries: 55, stopped: "", counted_until: "" });
    expect(layers.map((layer) => layer.name)).toEqual(["P9", "P8", "P7", "P6", "P5", "P4", "P3", "P2", "other (2)"]);
    expect(layers.at(-1)?.counts).toEqual([3, 0]);
    expect(layers.at(-1)?.tops).toEqual([55, 0]);
  });
});

it("two entries are compared row by row, also where a header comes twice", () => {
  const entry = (rows: [string, string][]) => ({ representation: { request: [{ type: "table", title: "Headers", tableData: rows.map(([name, value]) => ({ name, value, selector: "" })) }] } }) as unknown as Entry;
  const lines = difference(entry([["a", "1"], ["a", "2"], ["b", "x"]]), entry([["a", "1"], ["a", "3"], ["c", "y"]]));
  expect(lines.map(({ name, left, right }) => [name, left, right])).toEqual([["a", "1", "1"], ["a", "2", "3"], ["b", "x", null], ["c", null, "y"]]);
});

it("two timelines are compared point by point", () => {
  const entry = (t: number) => ({ representation: { response: [{ type: "timeline", title: "Over time", points: [{ t: 0, label: "request", direction: "client" }, { t, label: "response", direction: "server" }] }] } }) as unknown as Entry;
  const lines = difference(entry(2000), entry(9000));
  expect(lines.map(({ place, name, left, right }) => [place, name, left, right])).toEqual([["Response · Over time", "request", "0", "0"], ["Response · Over time", "response", "2.0 ms", "9.0 ms"]]);
});

it("completion takes what it knows of the hub's answer", () => {
  const words = wordsOf({ variables: [{ name: "http", type: "bool", section: "flags" }, {}], functions: [{ name: "is_bot", kind: "plugin", parameters: [], plugin: "bots" }], keywords: ["in"], else: 5 });
  expect(words.map(({ label, apply }) => [label, apply])).toEqual([["http", undefined], ["is_bot", "is_bot()"], ["in", undefined]]);
});
