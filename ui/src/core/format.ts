/** Numbers and times as a person reads them. */

export type Zone = "local" | "utc";

const pad = (value: number, width: number): string => String(value).padStart(width, "0");

let cachedHour = Number.NaN;
let cachedOffset = 0;

/** Offset of this machine's zone at that time, ms; asked once an hour of traffic, since a list asks for each row. */
function offset(ms: number): number {
  const hour = Math.floor(ms / 3_600_000);
  if (hour !== cachedHour) {
    cachedHour = hour;
    cachedOffset = -new Date(ms).getTimezoneOffset() * 60_000;
  }
  return cachedOffset;
}

/** HH:MM:SS.mmm */
export function clock(ms: number, zone: Zone): string {
  if (!Number.isFinite(ms)) return "";
  const day = Math.floor(zone === "utc" ? ms : ms + offset(ms)) % 86_400_000;
  const t = day < 0 ? day + 86_400_000 : day;
  return `${pad(Math.floor(t / 3_600_000), 2)}:${pad(Math.floor(t / 60_000) % 60, 2)}:${pad(Math.floor(t / 1000) % 60, 2)}.${pad(t % 1000, 3)}`;
}

/** 2026-11-23 13:32:40.728 */
export function moment(ms: number, zone: Zone): string {
  if (!Number.isFinite(ms)) return "";
  const date = new Date(zone === "utc" ? ms : ms + offset(ms));
  return date.toISOString().slice(0, 23).replace("T", " ");
}

/** 11-23 13:32:40.728: for a list that runs through several days */
export function dayClock(ms: number, zone: Zone): string {
  return moment(ms, zone).slice(5);
}

/** As much of a time as tells one mark of an axis from the next; `step` seconds apart. */
export function timeLabel(ms: number, step: number, zone: Zone): string {
  const text = moment(ms, zone);
  if (step >= 86_400 * 28) return step >= 86_400 * 365 ? text.slice(0, 4) : text.slice(0, 7);
  if (step < 0.001) return `${text.slice(17)}${String(Math.round((ms - Math.floor(ms)) * 1000)).padStart(3, "0")}`;
  return step >= 86_400 ? text.slice(5, 10) : step >= 60 ? text.slice(11, 16) : step >= 1 ? text.slice(11, 19) : text.slice(11);
}

/** In what two times of the zone differ: a list that runs through both has to say it. */
export function differIn(a: number, b: number, zone: Zone): "year" | "day" | "" {
  const [first, last] = [moment(a, zone), moment(b, zone)];
  if (first.slice(0, 4) !== last.slice(0, 4)) return "year";
  return first.slice(0, 10) === last.slice(0, 10) ? "" : "day";
}

const FLAGS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"] as const;
/** Names of the flags of a TCP header (RFC 9293 §3.1), the most telling first. */
export function tcpFlags(flags: number): string {
  return [1, 0, 2, 3, 4, 5, 6, 7].filter((bit) => flags & (1 << bit)).map((bit) => FLAGS[bit]).join(" ");
}

const grouping = new Intl.NumberFormat("en");
export function count(value: number): string {
  return grouping.format(value);
}

export function bytes(value: number): string {
  if (!Number.isFinite(value)) return "";
  if (value < 1000) return `${value} B`;
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]] as const) {
    if (value >= size * 0.9995) {
      const scaled = value / size;
      return `${scaled < 9.995 ? scaled.toFixed(2) : scaled < 99.95 ? scaled.toFixed(1) : scaled.toFixed(0)} ${unit}`;
    }
  }
  return `${value} B`;
}

const DAY_MS = 86_400_000;

/** Milliseconds with the unit that reads best. */
export function latency(ms: number): string {
  if (!(ms > 0)) return "";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  if (ms < 7_200_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
  if (ms < 2 * DAY_MS) return `${Math.floor(ms / 3_600_000)} h ${Math.round((ms % 3_600_000) / 60_000)} min`;
  return `${count(Math.round(ms / DAY_MS))} d`;
}

export function seconds(value: number): string {
  return latency(value * 1000) || "0 s";
}

/** "1 entry", "2 entries". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

// What no font shows: control characters, and those that turn the direction of what follows (Unicode UAX 9).
const UNSEEN = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Text of the network as it is shown: an override of its direction, which shows `gpj.exe` as `exe.jpg`, is written out. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (c) => (c < "\u0100" ? `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}` : `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`));
}

const HUES: Readonly<Record<string, number>> = {
  HTTP: 0, HTTP2: 0, WS: 1, GRPC: 2, GQL: 3, DNS: 4, TLS: 5, REDIS: 6, KAFKA: 7, AMQP: 8, MONGODB: 9, MYSQL: 10, POSTGRESQL: 11, QUIC: 5,
  TCP: 12, UDP: 10, ICMP: 8, SCTP: 12, TCPCONN: 7, UDPCONN: 1,
};
/** Colour class of a protocol, 0 to 12: fixed for the common ones, the same for a name each time. */
export function hue(protocol: string): number {
  const fixed = HUES[protocol];
  if (fixed !== undefined) return fixed;
  let hash = 0;
  for (let i = 0; i < protocol.length; i++) hash = (hash * 31 + protocol.charCodeAt(i)) | 0;
  return Math.abs(hash) % 12;
}

export type Verdict = "ok" | "warn" | "bad" | "none";
/** What a status means: three digits are read as HTTP's classes (SMTP, FTP and SIP count alike); elsewhere 0 is success. */
export function verdict(protocol: string, status: number, isError: boolean): Verdict {
  if (isError) return "bad";
  if (!status) return "none";
  if (protocol === "WS") return "ok";
  if (status >= 100 && status < 600) return status >= 500 ? "bad" : status >= 400 ? "warn" : "ok";
  return status >= 600 ? "bad" : "warn";
}
