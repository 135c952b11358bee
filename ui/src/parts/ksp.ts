/**
 * Makes a package (.ksp) of a plugin's files, as `kubeshark plugin pack` does (packages/_archive.py): a zip archive that
 * can be written in one way only. Reads other zip archives to make one of them. The hub checks what comes out.
 */

import { texts } from "../text/plugin-install";

export const MAX_BYTES = 64 << 20; // of a package: the hub takes no more
const MAX_FILES = 2_000;
const SUMS = "SHA256SUMS";
const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END_BYTES = 22;
const MAX_COMMENT = 65_535;
const UTF8 = 0x800;
const DATE = (1 << 5) | 1; // 1980-01-01, the first that a zip can tell
const MODE = (0o100644 << 16) >>> 0;
/** What a plugin does not have: hidden, or of a tool (packages/_contents.py). */
const LEFT_OUT = new Set(["__pycache__", "node_modules"]);

export type Files = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});
export function crc32(data: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of data) c = (TABLE[(c ^ byte) & 0xff] ?? 0) ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

/** Little-endian numbers: 2 or 4 bytes each. */
function record(...fields: readonly (readonly [2 | 4, number])[]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [size]) => sum + size, 0)));
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

async function sha256(data: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", data);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Code points in order, as Python sorts texts; UTF-16 has another order beyond the first plane. */
function byCodePoint(a: string, b: string): number {
  const [x, y] = [[...a], [...b]];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const difference = (x[i]?.codePointAt(0) ?? 0) - (y[i]?.codePointAt(0) ?? 0);
    if (difference) return difference;
  }
  return x.length - y.length;
}

export async function pack(files: Files): Promise<Uint8Array<ArrayBuffer>> {
  if (!globalThis.crypto?.subtle) throw new Error(texts.packElsewhere); // only pages over HTTPS and of this machine hash
  const names = [...files.keys()].sort(byCodePoint);
  const sums: string[] = [];
  for (const name of names) sums.push(`${await sha256(files.get(name) ?? new Uint8Array())}  ${name}\n`);
  const members = new Map<string, Uint8Array<ArrayBuffer>>([[SUMS, new TextEncoder().encode(sums.join(""))]]);
  for (const name of names) members.set(name, files.get(name) ?? new Uint8Array());
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const central: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  let directory = 0;
  for (const [name, data] of members) {
    const encoded = new TextEncoder().encode(name);
    const common = [[2, 20], [2, UTF8], [2, 0], [2, 0], [2, DATE], [4, crc32(data)], [4, data.length], [4, data.length], [2, encoded.length], [2, 0]] as const;
    const head = record([4, LOCAL], ...common);
    const entry = record([4, CENTRAL], [2, (3 << 8) | 20], ...common, [2, 0], [2, 0], [2, 0], [4, MODE], [4, offset]);
    parts.push(head, encoded, data);
    central.push(entry, encoded);
    offset += head.length + encoded.length + data.length;
    directory += entry.length + encoded.length;
  }
  const end = record([4, END], [2, 0], [2, 0], [2, members.size], [2, members.size], [4, directory], [4, offset], [2, 0]);
  return joined([...parts, ...central, end]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Whether a file is a package already: then its bytes, which may be signed, stay as they are. */
export function isPackage(data: Uint8Array): boolean {
  const name = new TextDecoder().decode(data.subarray(30, 30 + SUMS.length));
  return data.length > 40 && new DataView(data.buffer, data.byteOffset).getUint32(0, true) === LOCAL && name === SUMS;
}

/** The files of a zip archive; refuses what is cut, encrypted, too large or too many. */
export async function unzip(data: Uint8Array<ArrayBuffer>): Promise<Files> {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let end = data.length - END_BYTES;
  while (end >= 0 && end >= data.length - END_BYTES - MAX_COMMENT && view.getUint32(end, true) !== END) end--;
  if (end < 0 || view.getUint32(end, true) !== END) throw new Error(texts.noZip);
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  let left = MAX_BYTES;
  for (let i = 0; i < count; i++) {
    if (at + 46 > data.length || view.getUint32(at, true) !== CENTRAL) throw new Error(texts.noZip);
    const [flags, method] = [view.getUint16(at + 8, true), view.getUint16(at + 10, true)];
    const [crc, packed, size] = [view.getUint32(at + 16, true), view.getUint32(at + 20, true), view.getUint32(at + 24, true)];
    const length = view.getUint16(at + 28, true);
    const local = view.getUint32(at + 42, true);
    const name = new TextDecoder().decode(data.subarray(at + 46, at + 46 + length));
    at += 46 + length + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    if (name.endsWith("/")) continue;
    if (files.size >= MAX_FILES) throw new Error(texts.tooManyFiles(MAX_FILES));
    if (flags & 1 || (method !== 0 && method !== 8) || local + 30 > data.length) throw new Error(texts.cannotUnpack(name));
    const begin = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    if (begin + packed > data.length || size > left) throw new Error(size > left ? texts.tooLarge(MAX_BYTES >> 20) : texts.noZip);
    left -= size;
    const member = data.subarray(begin, begin + packed);
    const whole = method === 0 ? member.slice() : await inflate(member, size);
    if (whole.length !== size || crc32(whole) !== crc) throw new Error(texts.cannotUnpack(name));
    files.set(name, whole);
  }
  return files;
}

/** At most `size` bytes come out: who says less than it is, is refused. */
async function inflate(data: Uint8Array<ArrayBuffer>, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const reader = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return joined(parts);
    length += value.length;
    if (length > size) {
      await reader.cancel();
      return new Uint8Array(size + 1);
    }
    parts.push(value);
  }
}

/** The plugin's own files: below the folder that holds plugin.toml, without what is hidden or of a tool. */
export function ofPlugin(files: Files): Files {
  const manifests = [...files.keys()].filter((name) => /(^|\/)plugin\.toml$/.test(name)).sort((a, b) => a.split("/").length - b.split("/").length);
  const [manifest] = manifests;
  if (manifest === undefined) throw new Error(texts.noManifest);
  const root = manifest.slice(0, -"plugin.toml".length);
  const own = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const [name, data] of files) {
    const inside = name.slice(root.length);
    if (name.startsWith(root) && !inside.split("/").some((part) => part.startsWith(".") || LEFT_OUT.has(part))) own.set(inside, data);
  }
  return own;
}
