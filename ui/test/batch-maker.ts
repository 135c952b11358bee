/** Encodes batches as the hub does, so that tests say what they mean. */

export type Spec =
  | { name: string; type: "f64" | "u32" | "u16" | "u8"; values: readonly number[] }
  | { name: string; type: "dict"; strings: readonly string[]; values: readonly number[] }
  | { name: string; type: "text"; values: readonly string[] };

const ARRAYS = { f64: Float64Array, u32: Uint32Array, u16: Uint16Array, u8: Uint8Array, dict: Uint32Array } as const;

export function encode(query: number, batch: number, specs: readonly Spec[], cursor = "c"): ArrayBuffer {
  const utf8 = new TextEncoder();
  const columns = specs.map((spec) => (spec.type === "dict" ? { name: spec.name, type: spec.type, strings: spec.strings } : { name: spec.name, type: spec.type }));
  const header = utf8.encode(JSON.stringify({ columns, cursor }));
  const bytes: number[] = [];
  const u32 = (value: number): void => void bytes.push(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
  bytes.push(0x4b, 0x53, 0x42, 0x31);
  for (const value of [query, batch, specs[0]?.values.length ?? 0, header.length]) u32(value);
  bytes.push(...header);
  for (const spec of specs) {
    while (bytes.length % 8) bytes.push(0);
    if (spec.type === "text") {
      const parts = spec.values.map((value) => utf8.encode(value));
      let at = 0;
      u32(0);
      for (const part of parts) u32((at += part.length));
      for (const part of parts) bytes.push(...part);
    } else bytes.push(...new Uint8Array(ARRAYS[spec.type].from(spec.values as number[]).buffer));
  }
  return Uint8Array.from(bytes).buffer;
}
