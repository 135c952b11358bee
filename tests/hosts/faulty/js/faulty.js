// Does what each item tells it, mostly wrong.
"use strict";

const kept = [];

const ORDERS = {
  loop: () => {
    for (;;);
  },
  regex: () => /^(a+)+$/.test("a".repeat(40) + "b"),
  stack: () => (function deeper() {
    deeper();
  })(),
  memory: () => {
    for (;;) kept.push({ numbers: new Array(1000).fill(1.5) });
  },
  buffers: () => {
    for (let i = 0; i < 64; i++) kept.push(new Uint8Array(64 << 20).fill(1));
  },
  throw: () => {
    throw new Error("on purpose");
  },
  tamper: () => {
    const tampered = () => {
      throw new Error("tampered");
    };
    for (const prototype of [Uint8Array.prototype, Array.prototype, Map.prototype, DataView.prototype]) {
      for (const name of ["set", "subarray", "get", "push", "setUint32", "getUint32"]) {
        if (name in prototype) prototype[name] = tampered;
      }
    }
    JSON.stringify = JSON.parse = Atomics.store = Atomics.load = tampered;
  },
  abort: () => {
    throw new Error("on purpose");
  },
  nothing: () => {
    throw undefined;
  },
  outside: (item, out) => out.message({ kind: "event", start: 1, end: item.bytes.length + 1 }),
  backwards: (item, out) => out.message({ kind: "event", start: 2, end: 1 }),
  kind: (item, out) => out.message({ kind: "nonsense", start: 0, end: 1 }),
  field: (item, out) => out.message({ kind: "event", start: 0, end: 1, fields: { nonsense: 1 } }),
  flood: (item, out) => {
    for (let i = 0; i < 300_000; i++) out.message({ kind: "event", start: 0, end: 1 });
  },
  large: (item, out) => out.message({ kind: "event", start: 0, end: 1, fields: { said: "x".repeat(9 << 20) } }),
};

function dissect(item, out) {
  const [order, ...rest] = item.text(0, item.bytes.length).split(" ");
  if (order === "consumed") return item.bytes.length + 1;
  if (order === "promise") return Promise.resolve(0);
  let said = rest.join(" ");
  if (order === "secrets") said = Object.getOwnPropertyNames(globalThis).join(" ");
  else if (order !== "say") ORDERS[order](item, out);
  out.message({ kind: "event", start: 0, end: item.bytes.length, fields: { said } });
  return item.bytes.length;
}

kubeshark.plugin({ dissect });
