// @ts-check
/// <reference path="../../../../extension_api/sdk/js/kubeshark.d.ts" />
// Dissects the beanstalkd protocol, 1.0 to 1.13: lines of ASCII that end with CR LF; `put` and some answers are followed
// by a body of as many bytes as the line says, and CR LF.
// https://github.com/beanstalkd/beanstalkd/blob/master/doc/protocol.txt
"use strict";

/** Command → names of its arguments; the server answers every line, also one it does not know. */
const COMMANDS = {
  put: ["priority", "delay", "time_to_run", "body_size"],
  use: ["tube"],
  reserve: [],
  "reserve-with-timeout": ["timeout"],
  "reserve-job": ["job_id"],
  delete: ["job_id"],
  release: ["job_id", "priority", "delay"],
  bury: ["job_id", "priority"],
  touch: ["job_id"],
  watch: ["tube"],
  ignore: ["tube"],
  peek: ["job_id"],
  "peek-ready": [],
  "peek-delayed": [],
  "peek-buried": [],
  kick: ["count"],
  "kick-job": ["job_id"],
  "stats-job": ["job_id"],
  "stats-tube": ["tube"],
  stats: [],
  "list-tubes": [],
  "list-tube-used": [],
  "list-tubes-watched": [],
  "pause-tube": ["tube", "delay"],
  quit: [],
};

/** Status → names of its arguments. */
const STATUSES = {
  INSERTED: ["job_id"],
  BURIED: ["job_id"],
  USING: ["tube"],
  RESERVED: ["job_id", "body_size"],
  FOUND: ["job_id", "body_size"],
  OK: ["body_size"],
  WATCHING: ["count"],
  KICKED: ["count"],
  DELETED: [],
  RELEASED: [],
  TOUCHED: [],
  PAUSED: [],
  TIMED_OUT: [],
  DEADLINE_SOON: [],
  NOT_FOUND: [],
  NOT_IGNORED: [],
  EXPECTED_CRLF: [],
  JOB_TOO_BIG: [],
  DRAINING: [],
  OUT_OF_MEMORY: [],
  INTERNAL_ERROR: [],
  BAD_FORMAT: [],
  UNKNOWN_COMMAND: [],
};

const FAILURES = new Set([
  "NOT_FOUND", "NOT_IGNORED", "EXPECTED_CRLF", "JOB_TOO_BIG", "DRAINING", "OUT_OF_MEMORY", "INTERNAL_ERROR",
  "BAD_FORMAT", "UNKNOWN_COMMAND",
]);

const MAX_LINE = 1024; // the server takes 224 bytes
const MAX_BODY = 2 << 20; // of what we wait for; a longer one is shown truncated
const MAX_GARBAGE = 4096; // bytes that are no message are reported in pieces of this size
const LF = 10;

/**
 * Return the words of the line that begins at `at` and where it ends; null if its end is not there.
 * @param {kubeshark.Item} item
 * @param {number} at
 */
function lineAt(item, at) {
  const newline = item.bytes.subarray(at, at + MAX_LINE).indexOf(LF);
  if (newline < 0) return null;
  const end = at + newline + 1;
  return { words: item.latin1(at, end).trim().split(" "), end };
}

/**
 * @param {kubeshark.Item} item
 * @param {string[]} words
 */
function isKnown(item, words) {
  return Object.hasOwn(item.direction === "client" ? COMMANDS : STATUSES, words[0]);
}

/**
 * Where bytes that are no message end: before a known line, or after MAX_GARBAGE; -1: that cannot be said yet.
 * @param {kubeshark.Item} item
 * @param {number} at
 */
function garbageEnd(item, at) {
  const limit = at + MAX_GARBAGE;
  for (let next = at; next < limit; ) {
    const newline = item.bytes.subarray(next, limit).indexOf(LF);
    if (newline < 0) break;
    next += newline + 1;
    const line = lineAt(item, next);
    if (line && isKnown(item, line.words)) return next;
    if (!line && item.bytes.length < next + MAX_LINE && !item.last) return -1;
  }
  return item.bytes.length >= limit ? limit : item.last ? item.bytes.length : -1;
}

/**
 * Fields of a line: numbers where numbers are meant; null if an argument is missing or wrong.
 * @param {string[]} words
 * @param {string[]} names
 * @returns {Record<string, any> | null}
 */
function fieldsOf(words, names) {
  const fields = {};
  for (let i = 0; i < names.length; i++) {
    const word = words[i + 1];
    if (names[i] === "tube") {
      if (!word) return null;
      fields.tube = word;
    } else {
      if (!/^\d{1,18}$/.test(word ?? "")) return null;
      fields[names[i]] = word.length < 16 ? Number(word) : BigInt(word);
    }
  }
  return fields;
}

/** @param {kubeshark.Item} item */
function probe(item) {
  if (item.gap) return item.serverPort === 11300;
  const line = lineAt(item, 0);
  if (line) return isKnown(item, line.words);
  return item.last || item.bytes.length >= MAX_LINE ? false : "more";
}

/**
 * @param {kubeshark.Item} item
 * @param {kubeshark.Output} out
 */
function dissect(item, out) {
  const isClient = item.direction === "client";
  const kind = isClient ? "request" : "response";
  let at = 0;
  while (at < item.bytes.length) {
    const line = lineAt(item, at);
    if (!line && item.bytes.length - at < MAX_LINE && !item.last) break;
    // A server answers any line of a client, so only what a gap cut off, or what never ends, is no message.
    if (!line || (!isKnown(item, line.words) && (!isClient || (item.gap && at === 0)))) {
      const end = garbageEnd(item, at);
      if (end < 0) break;
      const error = item.gap && at === 0 ? "gap: the beginning of this message is missing" : "malformed: no message begins here";
      out.message({ kind: isClient ? "request" : "event", start: at, end, oneWay: isClient, error });
      at = end;
      continue;
    }
    const [word] = line.words;
    const names = (isClient ? COMMANDS : STATUSES)[word] ?? [];
    const optional = word === "BURIED" || word === "KICKED"; // the answers to bury and kick-job have no argument
    const values = optional && line.words.length === 1 ? {} : fieldsOf(line.words, names);
    const fields = { [isClient ? "command" : "status"]: word, ...values };
    let error = values === null ? `malformed: wrong arguments of ${word}` : undefined;
    let end = line.end;
    if (values && "body_size" in values) {
      const bodyEnd = line.end + Number(values.body_size);
      end = bodyEnd + 2;
      if (end - line.end > MAX_BODY) {
        end = line.end + MAX_BODY;
        error = "truncated: a body of more than 2 MiB";
      } else if (item.bytes.length >= end && (item.bytes[bodyEnd] !== 13 || item.bytes[bodyEnd + 1] !== LF)) {
        error = "malformed: the body does not end with CR LF";
      }
      if (end > item.bytes.length) {
        if (!item.last) break;
        end = item.bytes.length;
        error = "truncated: the stream ends inside this body";
      }
    }
    out.message({ kind, start: at, end, oneWay: word === "quit", fields, error });
    at = end;
  }
  return at;
}

const filters = {
  beanstalkd_failed: (_arguments, status) => FAILURES.has(status),
  /** reserve waits by design: how long it took says nothing. */
  beanstalkd_slow: ([milliseconds], command, elapsedMicroseconds) =>
    !command.startsWith("reserve") && elapsedMicroseconds > milliseconds * 1000,
};

/**
 * @param {kubeshark.Item} request
 * @param {kubeshark.Item} response
 */
function render(request, response) {
  return { priority: 10, request: sections(request), response: [...sections(response), ...wait(request, response)] };
}

/**
 * How long the client waited: a worker that reserves waits for a job.
 * @param {kubeshark.Item} request
 * @param {kubeshark.Item} response
 * @returns {kubeshark.Section[]}
 */
function wait(request, response) {
  if (!request.time || response.time <= request.time) return [];
  const micros = Number((response.time - request.time) / 1000n);
  return [
    {
      type: "timeline",
      title: "Wait",
      points: [
        { t: 0, label: "asked", direction: "client" },
        { t: micros, label: "answered", direction: "server" },
      ],
    },
  ];
}

/**
 * @param {kubeshark.Item} item
 * @returns {kubeshark.Section[]}
 */
function sections(item) {
  const line = lineAt(item, 0);
  if (!line) return [];
  const isClient = item.direction === "client";
  const [word] = line.words;
  const names = (isClient ? COMMANDS : STATUSES)[word] ?? [];
  const values = fieldsOf(line.words, names) ?? {};
  const rows = [[isClient ? "command" : "status", word], ...Object.entries(values)];
  const table = rows.map(([name, value]) => ({ name, value: cell(value), selector: `beanstalkd_${name}` }));
  /** @type {kubeshark.Section[]} */
  const shown = [{ type: "table", title: isClient ? "Command" : "Response", tableData: table }];
  if (values.body_size > 0) {
    const end = Math.min(item.bytes.length, line.end + Number(values.body_size));
    shown.push(bodySection(item, line.end, end, word === "OK" ? "application/yaml" : "text/plain"));
  }
  return shown;
}

function cell(value) {
  return typeof value === "bigint" ? String(value) : value;
}

/**
 * @param {kubeshark.Item} item
 * @param {number} start
 * @param {number} end
 * @param {string} mimeType
 * @returns {kubeshark.Section}
 */
function bodySection(item, start, end, mimeType) {
  const body = item.text(start, end);
  if (!body.includes("\ufffd") && !body.includes("\0")) return { type: "body", title: "Body", body, mimeType };
  return { type: "hex", title: "Body", body: base64(item.bytes.subarray(start, end)), encoding: "base64" };
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** @param {Uint8Array} bytes */
function base64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const group = (bytes[i] << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let shift = 18; shift >= 0; shift -= 6) text += DIGITS[(group >> shift) & 63];
  }
  const padding = (3 - (bytes.length % 3)) % 3;
  return text.slice(0, text.length - padding) + "=".repeat(padding);
}

kubeshark.plugin({ probe, dissect, filters, render });
