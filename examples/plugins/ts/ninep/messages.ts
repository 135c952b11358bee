/** What the messages hold, as far as it is shown: the fixed fields, and the first names. */
export interface Body {
  fields: Record<string, string | number | bigint>;
  data?: Uint8Array; // of a read or a write
  error?: string;
}

/** Message type → name. Terror (106) is never sent. */
export const TYPES: Readonly<Record<number, string>> = {
  100: "Tversion", 101: "Rversion", 102: "Tauth", 103: "Rauth", 104: "Tattach", 105: "Rattach", 107: "Rerror",
  108: "Tflush", 109: "Rflush", 110: "Twalk", 111: "Rwalk", 112: "Topen", 113: "Ropen", 114: "Tcreate", 115: "Rcreate",
  116: "Tread", 117: "Rread", 118: "Twrite", 119: "Rwrite", 120: "Tclunk", 121: "Rclunk", 122: "Tremove",
  123: "Rremove", 124: "Tstat", 125: "Rstat", 126: "Twstat", 127: "Rwstat",
};

/** Reads a body from its start; after the first thing that is not there, everything is missing. */
class Cursor {
  #at = 0;
  #view: DataView;
  isShort = false;

  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
  #take(size: number): number {
    const at = this.#at;
    this.isShort ||= size > this.bytes.length - at;
    if (!this.isShort) this.#at = at + size;
    return this.isShort ? -1 : at;
  }
  u16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.#view.getUint16(at, true);
  }
  u32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#view.getUint32(at, true);
  }
  u64(): bigint {
    const at = this.#take(8);
    return at < 0 ? 0n : BigInt.asIntN(64, this.#view.getBigUint64(at, true));
  }
  data(size: number): Uint8Array {
    const at = this.#take(size);
    return at < 0 ? new Uint8Array() : this.bytes.subarray(at, at + size);
  }
  /** A name: a length and UTF-8; the SDK has no TextDecoder, and names in 9P are ASCII nearly always. */
  name(): string {
    const text = Array.from(this.data(this.u16()), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
    try {
      return decodeURIComponent(text);
    } catch {
      return text; // no UTF-8
    }
  }
}

const MOST_NAMES = 16; // MAXWELEM

/** Read the body of a message of this type. */
export function read(type: number, bytes: Uint8Array): Body {
  const cursor = new Cursor(bytes);
  const body: Body = { fields: {} };
  const { fields } = body;
  switch (TYPES[type]) {
    case "Tversion":
    case "Rversion":
      fields.count = cursor.u32();
      fields.name = cursor.name();
      break;
    case "Tattach":
      fields.fid = cursor.u32();
      cursor.u32(); // the fid of an authentication
      cursor.name(); // the user
      fields.name = cursor.name();
      break;
    case "Rerror":
      fields.error = cursor.name();
      break;
    case "Twalk": {
      fields.fid = cursor.u32();
      cursor.u32(); // the new fid
      const names: string[] = [];
      for (let left = Math.min(cursor.u16(), MOST_NAMES); left > 0; left--) names.push(cursor.name());
      fields.name = names.join("/");
      break;
    }
    case "Tcreate":
      fields.fid = cursor.u32();
      fields.name = cursor.name();
      break;
    case "Tread":
      fields.fid = cursor.u32();
      fields.offset = cursor.u64();
      fields.count = cursor.u32();
      break;
    case "Twrite":
      fields.fid = cursor.u32();
      fields.offset = cursor.u64();
      fields.count = cursor.u32();
      body.data = cursor.data(Number(fields.count));
      break;
    case "Rread":
      fields.count = cursor.u32();
      body.data = cursor.data(Number(fields.count));
      break;
    case "Rwrite":
      fields.count = cursor.u32();
      break;
    case "Topen":
    case "Tclunk":
    case "Tremove":
    case "Tstat":
    case "Twstat":
      fields.fid = cursor.u32();
      break;
  }
  if (cursor.isShort) body.error = "malformed: the message is shorter than its fields";
  return body;
}
