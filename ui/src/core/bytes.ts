/** Bytes as a person reads them: base64, hex lines, text. */

export function fromBase64(text: string): Uint8Array {
  try {
    const binary = atob(text);
    return Uint8Array.from(binary, (c) => c.charCodeAt(0));
  } catch {
    return new TextEncoder().encode(text);
  }
}

export interface HexLine {
  readonly offset: string;
  readonly bytes: readonly string[];
  readonly text: string;
}

export function hexLines(data: Uint8Array, from: number, lines: number): HexLine[] {
  const found: HexLine[] = [];
  for (let at = from; at < data.length && found.length < lines; at += 16) {
    const part = data.subarray(at, at + 16);
    found.push({
      offset: at.toString(16).padStart(8, "0"),
      bytes: Array.from(part, (byte) => byte.toString(16).padStart(2, "0")),
      text: Array.from(part, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join(""),
    });
  }
  return found;
}

/** Text, if the bytes are some; null if not. */
export function asText(data: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch {
    return null;
  }
}

/** Bytes as text where all of them are printable, else with dots. */
export function loosely(data: Uint8Array): string {
  return asText(data) ?? Array.from(data, (byte) => (byte === 10 || byte === 13 || byte === 9 || (byte >= 0x20 && byte < 0x7f) ? String.fromCharCode(byte) : "·")).join("");
}

export type Token = readonly [kind: "" | "key" | "text" | "number" | "word", text: string];

const JSON_TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g;

/** Tokens of JSON for colouring; the text stays as it is. */
export function jsonTokens(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (const match of text.matchAll(JSON_TOKEN)) {
    if (match.index > at) tokens.push(["", text.slice(at, match.index)]);
    const [all, string, colon, number] = match;
    if (string !== undefined) {
      tokens.push([colon === undefined ? "text" : "key", string]);
      if (colon !== undefined) tokens.push(["", colon]);
    } else tokens.push([number === undefined ? "word" : "number", all]);
    at = match.index + all.length;
  }
  if (at < text.length) tokens.push(["", text.slice(at)]);
  return tokens;
}

/** JSON laid out, or null for what is none. */
export function prettyJson(text: string): string | null {
  const first = text.trimStart()[0];
  if (first !== "{" && first !== "[") return null;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}
