/**
 * Decodes the hub's binary column batches (docs/hub-api.md, "Batches"): the one place that reads them.
 *
 * Every length is checked before use. Columns come out in their smallest lasting form, because a list of a million rows
 * keeps them: texts stay bytes until they are drawn, ids are split into segment, flow and number.
 */

import { texts as say } from "../text/core";
import { type Numbers, type PackedColumn, Templates, packedText } from "./templates";

const MAGIC = 0x3142534b; // "KSB1", little-endian
const HEAD = 20;
const BYTES = { f64: 8, u32: 4, u16: 2, u8: 1, dict: 4 } as const;
const MAX_COLUMNS = 64;
const FEW = 65_536;

export class BadBatch extends Error {}

type Whole = Uint8Array | Uint16Array | Uint32Array;

/** A number is `base + array[i] * scale`. */
export interface NumberColumn {
  readonly kind: "number";
  readonly array: Numbers;
  readonly base: number;
  readonly scale: number;
}
export interface DictColumn {
  readonly kind: "dict";
  readonly array: Whole;
  readonly strings: readonly string[];
}
export interface TextColumn {
  readonly kind: "text";
  readonly offsets: Whole;
  readonly bytes: Uint8Array;
}
/** Ids `<segment>-<flow>-<n>`, read from the right. */
export interface IdColumn {
  readonly kind: "id";
  readonly segment: Whole;
  readonly flow: Whole;
  readonly n: Whole;
  readonly segments: readonly string[];
}
export type Column = NumberColumn | DictColumn | TextColumn | IdColumn | PackedColumn;

export interface Batch {
  readonly query: number;
  readonly batch: number;
  readonly count: number;
  readonly columns: ReadonlyMap<string, Column>;
  readonly cursor: string;
}

/** What grows over the batches of one query: its dictionaries, by column. */
export class Dictionaries {
  readonly strings = new Map<string, string[]>();
  readonly interned = new Map<string, Interned>();
  readonly segments: string[] = [];
  readonly segmentIndex = new Map<string, number>();

  of(name: string): string[] {
    let known = this.strings.get(name);
    if (!known) this.strings.set(name, (known = []));
    return known;
  }
}

/** Texts of a column that came before. The hub gives a column up when half of a batch is new; over a long list it may pay. */
interface Interned {
  readonly strings: string[];
  readonly index: Map<string, number>;
  readonly templates: Templates; // of those that come when it is full
}

const utf8 = new TextDecoder();

/** A copy in the smallest type that holds it: a view would keep the whole message alive. */
function smallest(array: Whole): Whole {
  let most = 0;
  for (const value of array) if (value > most) most = value;
  return most < 256 ? Uint8Array.from(array) : most < FEW ? Uint16Array.from(array) : array.slice();
}

export function batchQuery(data: ArrayBuffer): number {
  if (data.byteLength < HEAD) throw new BadBatch(say.short);
  return new DataView(data).getUint32(4, true);
}

/** Decode one message; `known` is its query's, and grows. Throws BadBatch for what is none. */
export function decodeBatch(data: ArrayBuffer, known: Dictionaries): Batch {
  const view = new DataView(data);
  if (data.byteLength < HEAD || view.getUint32(0, true) !== MAGIC) throw new BadBatch(say.noBatch);
  const count = view.getUint32(12, true);
  const length = view.getUint32(16, true);
  if (HEAD + length > data.byteLength) throw new BadBatch(say.headerOutside);
  const header = readHeader(utf8.decode(new Uint8Array(data, HEAD, length)));
  const columns = new Map<string, Column>();
  let at = HEAD + length;
  for (const { name, type, strings } of header.columns) {
    at += -at & 7;
    if (type === "text") {
      if (at + 4 * (count + 1) > data.byteLength) throw new BadBatch(say.columnOutside(name));
      const offsets = new Uint32Array(data, at, count + 1);
      at += 4 * (count + 1);
      let last = 0;
      for (const offset of offsets) {
        if (offset < last) throw new BadBatch(say.offsetsFall(name));
        last = offset;
      }
      if (at + last > data.byteLength) throw new BadBatch(say.textsOutside(name));
      const bytes = new Uint8Array(data, at, last);
      columns.set(name, name === "id" ? ids(offsets, bytes, known) : texts(offsets, bytes, known, name));
      at += last;
      continue;
    }
    const size = BYTES[type] * count;
    if (at + size > data.byteLength) throw new BadBatch(say.columnOutside(name));
    if (type === "dict") columns.set(name, dict(new Uint32Array(data, at, count), known.of(name), strings, name));
    else columns.set(name, numbers(numberArray(type, data, at, count), name));
    at += size;
  }
  return { query: view.getUint32(4, true), batch: view.getUint32(8, true), count, columns, cursor: header.cursor };
}

type Kind = keyof typeof BYTES | "text";
interface Described {
  readonly name: string;
  readonly type: Kind;
  readonly strings: readonly string[];
}

function readHeader(text: string): { columns: Described[]; cursor: string } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new BadBatch(say.headerNoJson);
  }
  const { columns, cursor } = parsed as { columns?: unknown; cursor?: unknown };
  if (!Array.isArray(columns) || columns.length > MAX_COLUMNS) throw new BadBatch(say.noColumns);
  return {
    cursor: typeof cursor === "string" ? cursor : "",
    columns: columns.map((each: Partial<Described>) => {
      const { name, type, strings = [] } = each;
      if (typeof name !== "string" || typeof type !== "string" || !(type in BYTES || type === "text") || !Array.isArray(strings)) {
        throw new BadBatch(say.unknownColumn(String(name), String(type)));
      }
      return { name, type, strings: strings.map(String) };
    }),
  };
}

function numberArray(type: Exclude<Kind, "dict" | "text">, data: ArrayBuffer, at: number, count: number): Numbers {
  switch (type) {
    case "f64": return new Float64Array(data, at, count);
    case "u32": return new Uint32Array(data, at, count);
    case "u16": return new Uint16Array(data, at, count);
    case "u8": return new Uint8Array(data, at, count);
  }
}

function dict(indexes: Uint32Array, strings: string[], fresh: readonly string[], name: string): DictColumn {
  for (const each of fresh) strings.push(each);
  for (const index of indexes) if (index >= strings.length) throw new BadBatch(say.neverSent(name));
  return { kind: "dict", array: smallest(indexes), strings };
}

function texts(offsets: Uint32Array, bytes: Uint8Array, known: Dictionaries, name: string): Column {
  let interned = known.interned.get(name);
  if (!interned) known.interned.set(name, (interned = { strings: [], index: new Map(), templates: new Templates() }));
  const count = offsets.length - 1;
  const textOf = (i: number): string => utf8.decode(bytes.subarray(offsets[i], offsets[i + 1]));
  const { strings, index, templates } = interned;
  if (strings.length < FEW) {
    const array = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      const text = textOf(i);
      let at = index.get(text);
      if (at === undefined) {
        index.set(text, (at = strings.length));
        strings.push(text);
      }
      array[i] = at;
    }
    return { kind: "dict", array: smallest(array), strings };
  }
  return templates.pack(count, textOf) ?? { kind: "text", offsets: smallest(offsets), bytes: bytes.slice() };
}

function numbers(array: Numbers, name: string): NumberColumn {
  if (!(array instanceof Float64Array)) {
    if (array instanceof Float32Array) return { kind: "number", array, base: 0, scale: 1 };
    return { kind: "number", array: smallest(array), base: 0, scale: 1 };
  }
  if (name !== "timestamp") return { kind: "number", array: Float32Array.from(array), base: 0, scale: 1 };
  let low = Infinity;
  let high = -Infinity;
  for (const value of array) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  // Microseconds from the first: four bytes hold 71 minutes of a batch.
  if (!((high - low) * 1000 < 0xffff_ffff)) return { kind: "number", array: array.slice(), base: 0, scale: 1 };
  return { kind: "number", array: Uint32Array.from(array, (value) => Math.round((value - low) * 1000)), base: low, scale: 0.001 };
}

const ID = /^(.*)-(\d{1,10})-(\d{1,10})$/s;

function ids(offsets: Uint32Array, bytes: Uint8Array, known: Dictionaries): Column {
  const count = offsets.length - 1;
  const segments = new Uint16Array(count);
  const flows = new Uint32Array(count);
  const numbers = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    const text = utf8.decode(bytes.subarray(offsets[i], offsets[i + 1]));
    const [, segment, flow, n] = ID.exec(text) ?? [];
    let index = segment === undefined ? FEW : (known.segmentIndex.get(segment) ?? known.segments.length);
    if (segment === undefined || index >= FEW || Number(flow) > 0xffff_ffff || Number(n) > 0xffff_ffff || text !== `${segment}-${Number(flow)}-${Number(n)}`) {
      return { kind: "text", offsets: offsets.slice(), bytes: bytes.slice() };
    }
    if (index === known.segments.length) {
      known.segments.push(segment);
      known.segmentIndex.set(segment, index);
    }
    segments[i] = index;
    flows[i] = Number(flow);
    numbers[i] = Number(n);
  }
  return { kind: "id", segment: smallest(segments), flow: smallest(flows), n: smallest(numbers), segments: known.segments };
}

export function textAt(column: Column, i: number): string {
  switch (column.kind) {
    case "number": return String(numberAt(column, i));
    case "dict": return column.strings[column.array[i] ?? 0] ?? "";
    case "text": return utf8.decode(column.bytes.subarray(column.offsets[i], column.offsets[i + 1]));
    case "packed": return packedText(column, i);
    case "id": return `${column.segments[column.segment[i] ?? 0] ?? ""}-${column.flow[i] ?? 0}-${column.n[i] ?? 0}`;
  }
}

export function numberAt(column: Column, i: number): number {
  if (column.kind !== "number") return Number.NaN;
  return column.base + (column.array[i] ?? 0) * column.scale;
}
