// 9P2000: size[4] type[1] tag[2] body, little-endian. A client has many requests under way at once; the server answers
// in any order, with the request's tag. https://9p.io/sys/man/5/INDEX.html
import { read, TYPES, type Body } from "./messages";
import { bytesAsImage } from "./picture";

const HEADER = 7;
const GARBAGE = 4096; // bytes that are no message are reported in pieces of this size
const MAX_SIZE = 1 << 24; // what servers agree to is 8 KiB to 1 MiB

interface Frame {
  end: number;
  type: number;
  tag: number;
}

/** The frame that begins at `at`; null: that is no frame; "more": its header is not there. */
function frameAt(item: kubeshark.Item, at: number): Frame | null | "more" {
  const { bytes } = item;
  if (bytes.length - at < HEADER) return "more";
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEADER);
  const size = view.getUint32(0, true);
  const type = view.getUint8(4);
  const isRequest = type % 2 === 0; // Tversion is 100, Rversion 101, and so on
  if (size < HEADER || size > MAX_SIZE || !(type in TYPES) || isRequest !== (item.direction === "client")) return null;
  return { end: at + size, type, tag: view.getUint16(5, true) };
}

function fieldsOf(frame: Frame, body: Body): kubeshark.Message["fields"] {
  return { type: TYPES[frame.type], tag: frame.tag, ...body.fields };
}

kubeshark.plugin({
  probe(item) {
    const frame = frameAt(item, 0);
    if (frame === "more") return item.last ? false : "more";
    return frame !== null && (frame.type === 100 || frame.type === 101); // a connection begins with the version
  },

  dissect(item, out) {
    const kind = item.direction === "client" ? "request" : "response";
    const { bytes } = item;
    let at = 0;
    while (at < bytes.length) {
      const frame = frameAt(item, at);
      if (frame === null) { // nothing marks the next frame: what follows is tried piece by piece
        if (bytes.length - at < GARBAGE && !item.last) break;
        const end = Math.min(at + GARBAGE, bytes.length);
        out.message({ kind: "event", start: at, end, error: "malformed: no message begins here" });
        at = end;
        continue;
      }
      if (frame === "more" || frame.end > bytes.length) {
        if (!item.last) break;
        out.message({ kind, start: at, end: bytes.length, error: "truncated: the stream ends inside this message" });
        return bytes.length;
      }
      const body = read(frame.type, bytes.subarray(at + HEADER, frame.end));
      out.message({ kind, start: at, end: frame.end, key: frame.tag, fields: fieldsOf(frame, body), error: body.error });
      at = frame.end;
    }
    return at;
  },

  filters: {
    ninep_failed: (_, error: string) => error !== "",
  },

  render(request, response) {
    return { priority: 10, request: sections(request), response: sections(response) };
  },
});

function sections(item: kubeshark.Item): kubeshark.Section[] {
  const frame = frameAt(item, 0);
  if (!frame || frame === "more" || frame.end > item.bytes.length) return [];
  const body = read(frame.type, item.bytes.subarray(HEADER, frame.end));
  const rows = Object.entries(fieldsOf(frame, body) ?? {}).map(([name, value]) => ({
    name,
    value: typeof value === "bigint" ? String(value) : (value as string | number), // JSON has no bigint
    selector: `ninep_${name}`,
  }));
  const shown: kubeshark.Section[] = [{ type: "table", title: TYPES[frame.type] ?? "Message", tableData: rows }];
  if (body.data?.length) shown.push(bytesAsImage("Data, a pixel a byte", body.data));
  return shown;
}
