/** Text of the filter language, as far as a page has to know it: quoting, joining terms, taking the last one off. */

const MAX_BYTES = 16 * 1024; // as the hub has it

/** Say whether a filter is longer than the language allows: it is not sent then. */
export const isTooLong = (kfl: string): boolean => new TextEncoder().encode(kfl).length > MAX_BYTES;

/** A KFL string literal for any text. */
export function quote(text: string): string {
  let out = '"';
  for (const c of text) {
    const code = c.codePointAt(0) ?? 0;
    if (c === '"' || c === "\\") out += `\\${c}`;
    else if (c === "\n") out += "\\n";
    else if (c === "\r") out += "\\r";
    else if (c === "\t") out += "\\t";
    else if (code < 0x20 || code === 0x7f) out += `\\u${code.toString(16).padStart(4, "0")}`;
    else out += c;
  }
  return `${out}"`;
}

/** `selector == value`, as a click on a value of the detail builds it; "" where nothing can be selected. */
export function equals(selector: string, value: string | number | boolean | null): string {
  if (!selector || value === null) return "";
  return `${selector} == ${typeof value === "string" ? quote(value) : String(value)}`;
}

export interface EndPoint {
  readonly ip: string;
  readonly port: string;
}

/** `10.0.0.1:80`, `[::1]:80`. */
export function endPoint(text: string): EndPoint {
  const cut = text.lastIndexOf(":");
  if (cut < 0) return { ip: text, port: "" };
  return { ip: text.slice(0, cut).replace(/^\[|\]$/g, ""), port: text.slice(cut + 1) };
}

/** A side of a row: the client's port says nothing, the server's says which service. */
export function sideTerm(side: "src" | "dst", text: string): string {
  const { ip, port } = endPoint(text);
  const term = `${side}.ip == ${quote(ip)}`;
  return side === "dst" && /^\d+$/.test(port) && port !== "0" ? `${term} && dst.port == ${port}` : term;
}

/** Positions of `&&`, and whether there is something that binds looser, outside of brackets and strings. */
function scan(kfl: string): { ands: number[]; loose: boolean } {
  const ands: number[] = [];
  let loose = false;
  let depth = 0;
  for (let i = 0; i < kfl.length; i++) {
    const c = kfl[i];
    if (c === '"' || c === "'") {
      for (i++; i < kfl.length && kfl[i] !== c; i++) if (kfl[i] === "\\") i++;
    } else if (c === "(" || c === "[" || c === "{") depth++;
    else if (c === ")" || c === "]" || c === "}") depth--;
    else if (depth === 0 && c === "&" && kfl[i + 1] === "&") ands.push(i++);
    else if (depth === 0 && ((c === "|" && kfl[i + 1] === "|") || c === "?")) loose = true;
  }
  return { ands, loose };
}

function grouped(kfl: string): string {
  return scan(kfl).loose ? `(${kfl})` : kfl;
}

/** Both hold. A term that is already there is not added again. */
export function and(filter: string, term: string): string {
  const have = filter.trim();
  const more = term.trim();
  if (!have || !more) return have || more;
  if (terms(have).includes(more)) return have;
  return `${grouped(have)} && ${grouped(more)}`;
}

/** The filter holds, the term does not. */
export function andNot(filter: string, term: string): string {
  const more = term.trim();
  if (!more) return filter.trim();
  const simple = /^[A-Za-z_][\w.]*$/.test(more);
  return and(filter, simple ? `!${more}` : `!(${more})`);
}

/** What is joined by `&&`. */
export function terms(filter: string): string[] {
  const { ands, loose } = scan(filter);
  if (loose) return [filter.trim()];
  const cuts = [0, ...ands.flatMap((at) => [at, at + 2]), filter.length];
  const found: string[] = [];
  for (let i = 0; i < cuts.length; i += 2) found.push(filter.slice(cuts[i], cuts[i + 1]).trim());
  return found.filter(Boolean);
}

/** The filter without its last term. */
export function withoutLast(filter: string): string {
  return terms(filter).slice(0, -1).join(" && ");
}
