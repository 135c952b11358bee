/**
 * Texts that differ in their numbers alone, kept small: "/orders/17?page=3" is a template, "/orders/\0?page=\0", and two
 * numbers. A million paths of a service are a few templates; as bytes they are most of what a list holds.
 */

export type Numbers = Float64Array | Float32Array | Uint32Array | Uint16Array | Uint8Array;

export interface PackedColumn {
  readonly kind: "packed";
  readonly template: Uint8Array | Uint16Array; // of each row
  readonly starts: Numbers; // in `numbers`, of each row
  readonly numbers: Uint8Array; // seven bits a byte, the low ones first
  readonly templates: readonly string[];
}

const MOST = 16_384; // templates of a column
const HOLE = "\0";
const DIGITS = /\d+/g;
const LONGEST = 9; // digits: what 32 bits hold for sure

/** Grows over the batches of one query. */
export class Templates {
  readonly list: string[] = [];
  private readonly index = new Map<string, number>();
  isGivenUp = false;

  /** Pack texts; null where that does not pay, or cannot be done. */
  pack(count: number, textOf: (i: number) => string): PackedColumn | null {
    if (this.isGivenUp) return null;
    const before = this.list.length;
    const template = new Uint16Array(count);
    const starts = new Uint32Array(count);
    const out: number[] = [];
    let isWhole = true;
    for (let i = 0; i < count && isWhole; i++) {
      const text = textOf(i);
      if (text.includes(HOLE)) isWhole = false;
      starts[i] = out.length;
      const form = text.replace(DIGITS, (digits) => {
        if (digits.length > LONGEST || (digits.length > 1 && digits.startsWith("0"))) return digits; // would come back as another
        let value = Number(digits);
        for (; value > 127; value >>>= 7) out.push((value & 127) | 128);
        out.push(value);
        return HOLE;
      });
      let at = this.index.get(form);
      if (at === undefined) {
        if (this.list.length >= MOST) isWhole = false;
        this.index.set(form, (at = this.list.length));
        this.list.push(form);
      }
      template[i] = at;
    }
    // Names and hashes make a template each: then bytes are smaller.
    if (!isWhole || this.list.length - before > count / 2) {
      this.isGivenUp = true;
      return null;
    }
    const most = this.list.length;
    return {
      kind: "packed",
      template: most <= 256 ? Uint8Array.from(template) : template,
      starts: out.length < 65_536 ? Uint16Array.from(starts) : starts,
      numbers: Uint8Array.from(out),
      templates: this.list,
    };
  }
}

export function packedText(column: PackedColumn, i: number): string {
  const form = column.templates[column.template[i] ?? 0] ?? "";
  let at = column.starts[i] ?? 0;
  return form.replaceAll(HOLE, () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = column.numbers[at++] ?? 0;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return String(value);
    }
  });
}
