/** A window of time, moved and widened. Nanoseconds as text, as the address has them: numbers would lose their last digits. */

import { type Zone, moment } from "./format";

export interface Span {
  readonly since: string;
  readonly until: string;
}

/** Half a window earlier (-1) or later (1). */
export function panned(span: Span, by: -1 | 1): Span {
  const [since, until] = [BigInt(span.since), BigInt(span.until)];
  const step = ((until - since) / 2n || 1n) * BigInt(by);
  const moved = since + step < 0n ? -since : step;
  return { since: String(since + moved), until: String(until + moved) };
}

/** Twice as wide around the same middle. */
export function widened(span: Span): Span {
  const [since, until] = [BigInt(span.since), BigInt(span.until)];
  const half = (until - since) / 2n || 1n;
  return { since: String(since > half ? since - half : 0n), until: String(until + half) };
}

/** The window of the same length before this one. */
export function precedes(since: string, until: string): Span {
  const [begin, end] = [BigInt(since), BigInt(until)];
  const before = begin - (end > begin ? end - begin : 0n);
  return { since: String(before > 0n ? before : 0n), until: since };
}

/** RFC 3339, as the hub writes times, in nanoseconds. */
export function nanoseconds(text: string): bigint {
  const [, whole = "", fraction = "", zone = "Z"] = /^(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? [];
  const ms = Date.parse(whole + zone);
  return Number.isFinite(ms) ? BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9)) : 0n;
}

/** A stretch of time cut in its middle; its end is exclusive. */
export function halves(first: string, last: string): { begin: string; middle: string; end: string } {
  const [begin, end] = [nanoseconds(first), nanoseconds(last) + 1_000_000n];
  return { begin: String(begin), middle: String(begin + (end - begin) / 2n), end: String(end) };
}

/** What an `<input type=datetime-local>` holds for a time, to the second. */
export function toInput(ns: string, zone: Zone): string {
  return ns ? moment(Number(BigInt(ns) / 1_000_000n), zone).slice(0, 19).replace(" ", "T") : "";
}

export function fromInput(text: string, zone: Zone): string {
  const ms = Date.parse(zone === "utc" ? `${text}Z` : text);
  return Number.isFinite(ms) ? String(BigInt(ms) * 1_000_000n) : "";
}
