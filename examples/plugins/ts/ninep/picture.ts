// Draws: bytes become the pixels of a PNG, so that text, tables, pictures and encrypted data look as different as they are.
// PNG (RFC 2083) with its pixels in stored blocks of zlib (RFC 1950, 1951): nothing needs to be compressed to be one.

const WIDTH = 128;
const MOST_PIXELS = WIDTH * 256;
const BLOCK = 65535;

/** A section that shows `data`, a grey pixel a byte, WIDTH a row; at most 32 KiB of it. */
export function bytesAsImage(title: string, data: Uint8Array): kubeshark.Section {
  const pixels = data.subarray(0, MOST_PIXELS);
  const height = Math.ceil(pixels.length / WIDTH);
  const rows = new Uint8Array(height * (WIDTH + 1)); // a filter byte, 0, before each row
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * WIDTH, (y + 1) * WIDTH), y * (WIDTH + 1) + 1);
  const header = [...u32(WIDTH), ...u32(height), 8, 0, 0, 0, 0]; // 8 bits of grey
  const png = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a,
    ...chunk("IHDR", header), ...chunk("IDAT", stored(rows)), ...chunk("IEND", []),
  ];
  return { type: "image", title, body: base64(png), encoding: "base64", mimeType: "image/png" };
}

function u32(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function chunk(type: string, data: number[]): number[] {
  const body = [...Array.from(type, (char) => char.charCodeAt(0)), ...data];
  return [...u32(data.length), ...body, ...u32(crc(body))];
}

function crc(bytes: number[]): number {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return ~sum;
}

function stored(bytes: Uint8Array): number[] {
  const out = [0x78, 0x01];
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const part = bytes.subarray(at, at + BLOCK);
    const isLast = at + BLOCK >= bytes.length ? 1 : 0;
    out.push(isLast, part.length & 255, part.length >> 8, ~part.length & 255, (~part.length >> 8) & 255, ...part);
  }
  let a = 1, b = 0; // Adler-32
  for (const byte of bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  out.push(...u32(((b << 16) | a) >>> 0));
  return out;
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function base64(bytes: number[]): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const group = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let shift = 18; shift >= 0; shift -= 6) text += DIGITS[(group >> shift) & 63];
  }
  const padding = (3 - (bytes.length % 3)) % 3;
  return text.slice(0, text.length - padding) + "=".repeat(padding);
}
