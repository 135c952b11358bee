// What scripts are given that asks neither host nor engine: YAML, HAR, maps, sentiment, base64, UTF-8.
// Runs before shim.js, which takes `__library` away before any script runs. Built-ins are taken first, as there.
"use strict";

globalThis.__library = (() => {
  const { parse, stringify } = JSON;
  const { freeze, defineProperty, keys: keysOf } = Object;
  const { apply } = Reflect;
  const { isArray } = Array;
  const { fromCharCode } = String;
  const { min, max } = Math;
  const { Error: Failure } = globalThis;
  const bind = (method) => (self, ...rest) => apply(method, self, rest);
  const charCodeAt = bind(String.prototype.charCodeAt), slice = bind(String.prototype.slice);
  const exec = bind(RegExp.prototype.exec);
  const hasOwn = bind(Object.prototype.hasOwnProperty);

  // --- YAML, HAR, maps, sentiment ---

  const PLAIN = /^[A-Za-z_\/][A-Za-z0-9_\/ .@()+-]*$/;
  const WORDS = /^(?:true|false|yes|no|on|off|null|y|n|~)$/i;
  function yamlText(text) {
    const isPlain = exec(PLAIN, text) && !exec(WORDS, text) && text[text.length - 1] !== " ";
    return isPlain ? text : stringify(text); // a JSON string is a YAML string
  }
  function yaml(value, indent) {
    if (isArray(value)) {
      if (!value.length) return " []\n";
      let text = "\n";
      for (let i = 0; i < value.length; i++) {
        const inner = yaml(value[i], indent + "  ");
        // a map or list begins on the line of its dash
        text += inner[0] === "\n" ? `${indent}- ${slice(inner, 1 + indent.length + 2)}` : `${indent}-${inner}`;
      }
      return text;
    }
    if (typeof value === "object" && value !== null) {
      const names = keysOf(value);
      if (!names.length) return " {}\n";
      let text = "\n";
      for (let i = 0; i < names.length; i++) {
        const inner = value[names[i]];
        text += `${indent}${yamlText(names[i])}:${yaml(inner, isArray(inner) ? indent : indent + "  ")}`;
      }
      return text;
    }
    return ` ${typeof value === "string" ? yamlText(value) : stringify(value)}\n`;
  }
  function json2Yaml(text) {
    const out = yaml(parse(text), "");
    return out[0] === "\n" || out[0] === " " ? slice(out, 1) : out;
  }

  function joinMaps(a, b) {
    const joined = {};
    const set = (name, value) => defineProperty(joined, name, { value, writable: true, enumerable: true, configurable: true });
    for (const name of keysOf(a || {})) set(name, a[name]);
    for (const name of keysOf(b || {})) {
      const mine = hasOwn(joined, name) ? joined[name] : undefined, theirs = b[name];
      if (typeof mine === "number" && typeof theirs === "number") set(name, mine + theirs);
      else if (isMap(mine) && isMap(theirs)) set(name, joinMaps(mine, theirs));
      else set(name, theirs);
    }
    return joined;
  }
  function isMap(value) {
    return typeof value === "object" && value !== null && !isArray(value);
  }

  function pairs(map) {
    const list = [];
    for (const name of keysOf(map || {})) {
      for (const value of isArray(map[name]) ? map[name] : [map[name]]) list.push({ name, value: "" + value });
    }
    return list;
  }
  function buildHAR(items) {
    const entries = [];
    for (const item of items || []) {
      const { request, response } = item || {};
      if (!item || !item.protocol || item.protocol.name !== "http" || !request) continue;
      const host = pairs(request.headers).find((header) => header.name.toLowerCase() === "host");
      const authority = host ? host.value : item.dst ? `${item.dst.ip}:${item.dst.port}` : "";
      const answer = response || {};
      const content = answer.content || {};
      const entry = {
        startedDateTime: item.startTime || new Date(item.timestamp || 0).toISOString(),
        time: item.elapsedTime || 0,
        request: {
          method: request.method, url: `${item.tls ? "https" : "http"}://${authority}${request.url || ""}`,
          httpVersion: request.httpVersion || "", headers: pairs(request.headers), cookies: pairs(request.cookies),
          queryString: pairs(request.queryString), headersSize: request.headersSize ?? -1, bodySize: request.bodySize ?? -1,
        },
        response: {
          status: answer.status || 0, statusText: answer.statusText || "", httpVersion: answer.httpVersion || "",
          headers: pairs(answer.headers), cookies: pairs(answer.cookies),
          content: { size: content.size || 0, mimeType: content.mimeType || "", text: content.text || "" },
          redirectURL: answer.redirectURL || "", headersSize: answer.headersSize ?? -1, bodySize: answer.bodySize ?? -1,
        },
        cache: {},
        timings: { send: 0, wait: item.elapsedTime || 0, receive: 0 },
        serverIPAddress: item.dst ? item.dst.ip : "",
      };
      if (request.postData) entry.request.postData = request.postData;
      if (content.encoding) entry.response.content.encoding = content.encoding;
      entries.push(entry);
    }
    return { log: { version: "1.2", creator: { name: "kubeshark", version: "1" }, entries } };
  }

  const FEELINGS = {};
  const feel = (weight, words) => { for (const word of words.split(" ")) FEELINGS[word] = weight; };
  feel(3, "excellent amazing awesome fantastic great love loved perfect superb wonderful best brilliant");
  feel(2, "good happy nice success successful well glad thanks thank enjoy beautiful reliable win winner healthy");
  feel(1, "ok okay fine fast easy better improve improved clean clear safe stable helpful works resolved");
  feel(-1, "slow late unclear hard difficult miss missing warn warning retry doubt delay delayed poor issue");
  feel(-2, "bad error errors fail failed failure wrong broken sad unhappy problem refused denied invalid lost angry timeout");
  feel(-3, "terrible awful horrible hate hated worst crash crashed disaster attack fatal critical useless disgusting");
  const NEGATIONS = { not: 1, no: 1, never: 1, "don't": 1, "doesn't": 1, "isn't": 1, "wasn't": 1, "can't": 1, "won't": 1 };
  const STRESS = { very: 1.3, really: 1.3, extremely: 1.5, so: 1.2, slightly: 0.7, somewhat: 0.8 };
  function sentiment(text) {
    const words = ("" + text).toLowerCase().match(/[a-z']+/g) || [];
    let good = 0, bad = 0, rest = 0, sum = 0;
    for (let i = 0; i < words.length; i++) {
      let weight = hasOwn(FEELINGS, words[i]) ? FEELINGS[words[i]] : 0;
      for (let back = 1; weight && back <= 2 && i - back >= 0; back++) {
        const before = words[i - back];
        if (hasOwn(STRESS, before)) weight *= STRESS[before];
        if (hasOwn(NEGATIONS, before)) weight *= -0.74;
      }
      sum += weight;
      if (weight > 0) good += weight + 1;
      else if (weight < 0) bad += 1 - weight;
      else rest++;
    }
    const total = good + bad + rest || 1;
    const round = (value) => Math.round(value * 1000) / 1000;
    return { neg: round(bad / total), neu: round(words.length ? rest / total : 1), pos: round(good / total),
      compound: round(sum / Math.sqrt(sum * sum + 15)) };
  }

  // --- base64 and UTF-8, which the engine lacks ---

  const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  function btoa(text) {
    text = "" + text;
    let out = "";
    for (let i = 0; i < text.length; i += 3) {
      const left = min(3, text.length - i);
      let bits = 0;
      for (let j = 0; j < 3; j++) {
        const code = j < left ? charCodeAt(text, i + j) : 0;
        if (code > 255) throw new Failure("btoa: a character above 255");
        bits = (bits << 8) | code;
      }
      for (let j = 0; j < 4; j++) out += j <= left ? DIGITS[(bits >> (18 - 6 * j)) & 63] : "=";
    }
    return out;
  }
  function atob(text) {
    text = ("" + text).replace(/[\t\n\f\r ]/g, "").replace(/={1,2}$/, "");
    let out = "", bits = 0, have = 0;
    for (const char of text) {
      const digit = DIGITS.indexOf(char);
      if (digit < 0) throw new Failure("atob: not base64");
      bits = ((bits << 6) | digit) & 0xffffff;
      have += 6;
      if (have >= 8) out += fromCharCode((bits >> (have -= 8)) & 255);
    }
    if (text.length % 4 === 1) throw new Failure("atob: not base64");
    return out;
  }
  class TextEncoder {
    get encoding() { return "utf-8"; }
    encode(text = "") {
      const raw = unescape(encodeURIComponent(("" + text).replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd")));
      return Uint8Array.from(raw, (char) => char.charCodeAt(0));
    }
  }
  class TextDecoder {
    get encoding() { return "utf-8"; }
    decode(value = new Uint8Array()) {
      const bytes = value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      let text = "";
      for (let at = 0; at < bytes.length; ) {
        const first = bytes[at++];
        const more = first < 0x80 ? 0 : first >= 0xf0 && first < 0xf5 ? 3 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xc2 && first < 0xe0 ? 1 : -1;
        let point = more < 0 ? -1 : more ? first & (0x3f >> more) : first, left = more;
        for (; left > 0 && at < bytes.length && (bytes[at] & 0xc0) === 0x80; left--) point = (point << 6) | (bytes[at++] & 63);
        const isGood = more >= 0 && left <= 0 && point >= [0, 0x80, 0x800, 0x10000][max(0, more)] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        text += isGood ? String.fromCodePoint(point) : "\ufffd";
      }
      return text;
    }
  }

  return freeze({ json2Yaml, joinMaps, buildHAR, sentiment, btoa, atob, TextEncoder, TextDecoder });
})();
