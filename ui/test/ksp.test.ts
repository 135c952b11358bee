import { describe, expect, it } from "vitest";
import { crc32, isPackage, ofPlugin, pack, unzip } from "../src/parts/ksp";

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const files = new Map([["plugin.toml", bytes('id = "x"\n')], ["main.js", bytes("kubeshark.plugin({});\n")], ["lib/z.js", bytes("z")]]);

async function deflated(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([data]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A zip of one file as other programs write it: compressed. */
async function zip(name: string, data: Uint8Array<ArrayBuffer>, size = data.length): Promise<Uint8Array<ArrayBuffer>> {
  const packed = await deflated(data);
  const head = new DataView(new ArrayBuffer(30));
  const entry = new DataView(new ArrayBuffer(46));
  const end = new DataView(new ArrayBuffer(22));
  head.setUint32(0, 0x04034b50, true);
  head.setUint16(26, name.length, true);
  entry.setUint32(0, 0x02014b50, true);
  entry.setUint16(10, 8, true);
  entry.setUint32(16, crc32(data), true);
  entry.setUint32(20, packed.length, true);
  entry.setUint32(24, size, true);
  entry.setUint16(28, name.length, true);
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(10, 1, true);
  end.setUint32(16, 30 + name.length + packed.length, true);
  const parts = [new Uint8Array(head.buffer), bytes(name), packed, new Uint8Array(entry.buffer), bytes(name), new Uint8Array(end.buffer)];
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

describe("a package made in the page", () => {
  it("has the checksum of zip", () => expect(crc32(bytes("123456789"))).toBe(0xcbf43926));
  it("begins with its hashes, and is the same in whichever order files came", async () => {
    const one = await pack(files);
    expect(isPackage(one)).toBe(true);
    expect(await pack(new Map([...files].reverse()))).toEqual(one);
    const back = await unzip(one);
    expect([...back.keys()]).toEqual(["SHA256SUMS", "lib/z.js", "main.js", "plugin.toml"]);
    expect(new TextDecoder().decode(back.get("SHA256SUMS"))).toMatch(/^[0-9a-f]{64}  lib\/z\.js\n/);
  });
  it("is made of the folder with the manifest, without what is hidden or of a tool", () => {
    const more = new Map<string, Uint8Array<ArrayBuffer>>([...files].map(([name, data]) => [`plugin-main/${name}`, data]));
    more.set("plugin-main/.git/config", bytes("x")).set("plugin-main/node_modules/a/plugin.toml", bytes("x")).set("readme", bytes("x"));
    expect([...ofPlugin(more).keys()].sort()).toEqual(["lib/z.js", "main.js", "plugin.toml"]);
    expect(() => ofPlugin(new Map([["a", bytes("")]]))).toThrow("plugin.toml");
  });
});

describe("zips of others", () => {
  it("are unpacked", async () => {
    const found = await unzip(await zip("plugin.toml", bytes("x".repeat(5_000))));
    expect(found.get("plugin.toml")?.length).toBe(5_000);
    expect(isPackage(await zip("plugin.toml", bytes("x")))).toBe(false);
  });
  it("are refused when they lie about a size, or are cut anywhere", async () => {
    await expect(unzip(await zip("bomb", bytes("x".repeat(100_000)), 10))).rejects.toThrow("cannot be unpacked");
    await expect(unzip(await zip("huge", bytes("x"), 0xfffffff0))).rejects.toThrow("at most");
    const whole = await zip("a", bytes("hello"));
    for (let length = 0; length < whole.length; length++) await expect(unzip(whole.slice(0, length))).rejects.toThrow();
    for (let at = 0; at < whole.length; at++) {
      const damaged = whole.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 0xff;
      await unzip(damaged).then((found) => expect(found.size).toBeLessThanOrEqual(1), () => undefined); // and never hangs
    }
  });
});
