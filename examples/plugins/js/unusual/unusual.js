// @ts-check
/// <reference path="../../../../extension_api/sdk/js/kubeshark.d.ts" />
// Learns how long each kind of HTTP exchange takes, and finds those that took much longer: KFL's unusually_slow(3.0).
"use strict";

const MOST_KINDS = 4096; // what is remembered is bounded: addresses of the network are as many as a client likes
const FLOOR = 0.1; // of a logarithm: a service that always takes the same 3 ms is not suspicious at 3.2

/** @typedef {{ seen: number, mean: number, squares: number }} Usual */
/** @type {Map<string, Usual>} */
const usual = new Map();
let after = 8;

kubeshark.plugin({
  configure(values) {
    after = values.after;
  },

  filters: {
    unusually_slow([deviations], method, path, server, elapsedMicroseconds) {
      if (!method || elapsedMicroseconds <= 0) return false; // no exchange of HTTP, or nothing was answered
      // Times spread by factors, not by sums: their logarithms have a mean and a deviation that say something.
      const time = Math.log(elapsedMicroseconds);
      const kind = remembered(`${server} ${method} ${template(path)}`);
      const deviation = Math.max(FLOOR, Math.sqrt(kind.squares / Math.max(1, kind.seen - 1)));
      const isUnusual = kind.seen >= after && time > kind.mean + deviations * deviation;
      if (!isUnusual) learn(kind, time); // an outlier teaches nothing about what is usual
      return isUnusual;
    },
  },
});

/** /api/users/4711 and /api/users/4712 are one kind. @param {string} path */
function template(path) {
  return path.replace(/\/(?:\d+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,})(?=\/|$)/gi, "/*");
}

/** @param {string} name */
function remembered(name) {
  let kind = usual.get(name);
  if (!kind) {
    kind = { seen: 0, mean: 0, squares: 0 };
    if (usual.size >= MOST_KINDS) usual.delete(usual.keys().next().value ?? ""); // the oldest
    usual.set(name, kind);
  }
  return kind;
}

/** Welford's running mean and sum of squares. @param {Usual} kind @param {number} time */
function learn(kind, time) {
  kind.seen++;
  const delta = time - kind.mean;
  kind.mean += delta / kind.seen;
  kind.squares += delta * (time - kind.mean);
}
