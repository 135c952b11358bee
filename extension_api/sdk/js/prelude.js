// The JavaScript side of the batch ABI (docs/adr/0003-batch-abi.md). Runs before the plugin's script, in the same context.
// Authors see `kubeshark.plugin` and what it hands to their callbacks: kubeshark.d.ts. The host sees `__ks`.
"use strict";

const { kubeshark, __ks } = (() => {
  // made by scripts/generate_sdk.py: begin hooks
  const NUMBERS = {
    packetFilter: 1,
    segmentSealed: 2,
    probe: 3,
    dissect: 4,
    enrich: 5,
    filters: 6,
    summarize: 7,
    render: 8,
    jobs: 9,
    configure: 10,
    start: 11,
    stop: 12,
  };
  // made by scripts/generate_sdk.py: end hooks
  // made by scripts/generate_sdk.py: begin services
  const SERVICE_HOOKS = "segmentSealed, jobs, configure, start, stop";
  const SERVICES = {
    http: ["http", "response"],
    fileRead: ["file_read", "bytes"],
    fileWrite: ["file_write", "nothing"],
    fileAppend: ["file_append", "nothing"],
    fileList: ["file_list", "entries"],
    fileDelete: ["file_delete", "nothing"],
    fileMakeFolder: ["file_make_folder", "nothing"],
    fileMove: ["file_move", "nothing"],
  };
  // made by scripts/generate_sdk.py: end services
  // made by scripts/generate_sdk.py: begin frame
  const REQUEST_BYTES = 4259840, RESULT_BYTES = 8388608;
  const FIND = "0061736d0100000001080160037f7f7f017f021301056672616d65066d656d6f72790203018002030201000708010466696e6400000a4c014a02017b017f2002fd0f21030340200020014e0440417f0f0b2000fd0000002003fd23fd6421042004044020002004686a21002000417f20002001481b0f0b200041106a21000c000b000b0034046e616d65022201000500026174010473746f70020462797465030677616e7465640405666f756e64030901000100046e657874"; // find.wat
  // made by scripts/generate_sdk.py: end frame
  const { packetFilter: PACKET_FILTER, probe: PROBE, dissect: DISSECT, enrich: ENRICH, filters: FILTER } = NUMBERS;
  const { summarize: SUMMARIZE, render: RENDER, jobs: JOB, configure: CONFIGURE } = NUMBERS;
  const REQUEST_MAGIC = 0x3142534b, RESULT_MAGIC = 0x3152534b, ABI = 1;
  const HEADER = 32, ITEM = 48, MESSAGE = 32, FIELD = 16, ERROR_FIELD = 0xffff;
  const INT = 0, DOUBLE = 1, BOOL = 2, ITEM_TEXT = 3, HEAP_TEXT = 4, HEAP_BYTES = 5, ITEM_BYTES = 6, HEAP_JSON = 7;
  const KINDS = { request: 0, response: 1, event: 2 };
  const TWO32 = 4294967296, FRAME_PAGES = (REQUEST_BYTES + RESULT_BYTES) / 65536;

  // The request, then the result, as in the memory that the host shares with its other languages. A script cannot detach
  // it. Views that never change are part of the compiled code: a quarter of a dissector's time.
  const memory = new WebAssembly.Memory({ initial: FRAME_PAGES, maximum: FRAME_PAGES, shared: true });
  const input = new DataView(memory.buffer, 0, REQUEST_BYTES), inputBytes = new Uint8Array(memory.buffer, 0, REQUEST_BYTES);
  const output = new DataView(memory.buffer, REQUEST_BYTES), outputBytes = new Uint8Array(memory.buffer, REQUEST_BYTES);
  const code = Uint8Array.from(FIND.match(/../g), (byte) => parseInt(byte, 16));
  /** Where `byte` lies in the input from `at` to `stop`; -1 if it does not. */
  const { find } = new WebAssembly.Instance(new WebAssembly.Module(code), { frame: { memory } }).exports;

  let manifest = { fields: [], filters: [], jobs: [], settings: [] };
  const fieldsByName = new Map(); // name -> { id, type }
  let plugin = null;

  // --- text ---

  function decodeUtf8(bytes, start, end) {
    let text = "";
    for (let at = start; at < end; ) {
      const first = bytes[at++];
      if (first < 0x80) {
        text += String.fromCharCode(first);
        continue;
      }
      const more = first >= 0xf0 && first < 0xf5 ? 3 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xc2 && first < 0xe0 ? 1 : 0;
      let point = more ? first & (0x3f >> more) : -1;
      let left = more;
      for (; left > 0 && at < end && (bytes[at] & 0xc0) === 0x80; left--) point = (point << 6) | (bytes[at++] & 0x3f);
      const smallest = [0, 0x80, 0x800, 0x10000][more];
      const valid = more && left === 0 && point >= smallest && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
      text += valid ? String.fromCodePoint(point) : "\ufffd";
    }
    return text;
  }

  function decodeLatin1(bytes, start, end) {
    let text = "";
    for (let at = start; at < end; at += 4096) {
      text += String.fromCharCode.apply(null, bytes.subarray(at, Math.min(end, at + 4096)));
    }
    return text;
  }

  function encodeUtf8(text, bytes, at) {
    for (let i = 0; i < text.length; i++) {
      let point = text.charCodeAt(i);
      if (point >= 0xd800 && point <= 0xdfff) {
        const low = text.charCodeAt(i + 1);
        if (point < 0xdc00 && low >= 0xdc00 && low <= 0xdfff) {
          point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
          i++;
        } else {
          point = 0xfffd;
        }
      }
      if (point < 0x80) {
        bytes[at++] = point;
      } else if (point < 0x800) {
        bytes[at++] = 0xc0 | (point >> 6);
        bytes[at++] = 0x80 | (point & 63);
      } else if (point < 0x10000) {
        bytes[at++] = 0xe0 | (point >> 12);
        bytes[at++] = 0x80 | ((point >> 6) & 63);
        bytes[at++] = 0x80 | (point & 63);
      } else {
        bytes[at++] = 0xf0 | (point >> 18);
        bytes[at++] = 0x80 | ((point >> 12) & 63);
        bytes[at++] = 0x80 | ((point >> 6) & 63);
        bytes[at++] = 0x80 | (point & 63);
      }
    }
    return at;
  }

  // --- growing buffers, kept from call to call ---

  class Scratch {
    constructor(size) {
      this.length = 0;
      this.resize(size);
    }
    resize(size) {
      const bytes = new Uint8Array((size + 7) & ~7); // whole words
      if (this.bytes) bytes.set(this.bytes.subarray(0, this.length));
      this.bytes = bytes;
      this.view = new DataView(bytes.buffer);
      this.words = new Uint32Array(bytes.buffer); // little-endian, as every machine that V8 runs on
    }
    /** Make room for `size` bytes and return where they begin. */
    take(size) {
      const at = this.length;
      if (at + size > this.bytes.length) this.resize(Math.max(2 * this.bytes.length, at + size));
      this.length = at + size;
      return at;
    }
    text(value) {
      const start = this.take(3 * value.length); // most that UTF-8 can need
      this.length = encodeUtf8(value, this.bytes, start);
      return start;
    }
  }
  const messages = new Scratch(8192), fields = new Scratch(32768), heap = new Scratch(32768);

  // --- what authors see ---

  class Span {
    constructor(start, end) {
      this.start = start;
      this.end = end;
    }
  }

  /**
   * Reads of the frame what is asked for: most callbacks look at the bytes and the direction alone. What begins with _ is
   * not for authors; private fields would cost a tenth of a small dissector's time, each time an item is made.
   */
  class Item {
    constructor(at, payload) {
      this._at = at;
      this._start = payload + input.getUint32(at, true);
      this._length = input.getUint32(at + 4, true);
      this._bytes = undefined;
    }
    get length() {
      return this._length;
    }
    get bytes() {
      return (this._bytes ??= inputBytes.subarray(this._start, this._start + this._length));
    }
    get direction() {
      return inputBytes[this._at + 24] === 0 ? "client" : "server";
    }
    get last() {
      return (inputBytes[this._at + 26] & 2) !== 0;
    }
    find(byte, start = 0, end = this._length) {
      const from = start > 0 ? start : 0, stop = end < this._length ? end : this._length;
      if (!(from < stop)) return -1;
      const found = find(this._start + from, this._start + stop, byte);
      return found < 0 ? -1 : found - this._start;
    }
    at(offset) {
      return offset >= 0 && offset < this._length ? inputBytes[this._start + offset] : undefined;
    }
    equals(start, end, text) {
      const length = text.length;
      if (end - start !== length || start < 0 || end > this._length) return false;
      for (let i = 0, at = this._start + start; i < length; i++, at++) {
        let byte = inputBytes[at];
        if (byte >= 65 && byte <= 90) byte += 32;
        if (byte !== text.charCodeAt(i)) return false;
      }
      return true;
    }
    decimal(start, end) {
      if (start < 0 || end <= start || end > this._length || end - start > 15) return undefined;
      let value = 0;
      for (let at = this._start + start, stop = this._start + end; at < stop; at++) {
        const digit = inputBytes[at] - 48;
        if (!(digit >= 0 && digit <= 9)) return undefined;
        value = value * 10 + digit;
      }
      return value;
    }
    get stream() {
      return number(this._at + 8);
    }
    get time() {
      return input.getBigUint64(this._at + 16, true);
    }
    get transport() {
      return inputBytes[this._at + 25];
    }
    get first() {
      return (inputBytes[this._at + 26] & 1) !== 0;
    }
    get gap() {
      return (inputBytes[this._at + 26] & 4) !== 0;
    }
    get cut() {
      return (inputBytes[this._at + 26] & 8) !== 0;
    }
    get clientPort() {
      return input.getUint16(this._at + 28, true);
    }
    get serverPort() {
      return input.getUint16(this._at + 30, true);
    }
    get base() {
      return number(this._at + 40);
    }
    text(start = 0, end = this._length) {
      return decodeUtf8(this.bytes, start, Math.min(end, this.bytes.length));
    }
    latin1(start = 0, end = this._length) {
      return decodeLatin1(this.bytes, start, Math.min(end, this.bytes.length));
    }
    span(start, end) {
      return new Span(start, end);
    }
  }

  function number(at) {
    return input.getUint32(at, true) + input.getUint32(at + 4, true) * TWO32;
  }

  class Output {
    constructor(index, length) {
      this.index = index;
      this.length = length;
    }
    message({ kind, start, end, key, fields: values, oneWay, interim, error }) {
      const number = KINDS[kind];
      if (typeof number !== "number") throw new TypeError(`message: kind is ${kind}, not request, response or event`);
      this.check(start, end);
      const firstField = fields.length / FIELD;
      for (const name in values) this.field(name, values[name]);
      if (error) heapField(ERROR_FIELD, HEAP_TEXT, String(error));
      const at = messages.take(MESSAGE) >> 2, words = messages.words;
      const flags = (oneWay ? 1 : 0) | (error ? 2 : 0) | (interim ? 4 : 0);
      words[at] = this.index;
      words[at + 1] = number | (flags << 8) | ((fields.length / FIELD - firstField) << 16);
      words[at + 2] = start;
      words[at + 3] = end;
      writeKey(words, at + 4, key);
      words[at + 6] = firstField;
      words[at + 7] = 0;
    }
    check(start, end) {
      if (!(start >= 0 && start <= end && end <= this.length)) {
        throw new RangeError(`${start} to ${end} reaches beyond the item's ${this.length} bytes`);
      }
    }
    field(name, value) {
      if (value === undefined || value === null) return;
      const declared = fieldsByName.get(name);
      if (!declared) throw new TypeError(`field ${name} is not in plugin.toml`);
      const { id, type } = declared;
      switch (type) {
        case "int":
        case "timestamp":
          if (typeof value === "number" && value >= 0 && value < TWO32 && value === value >>> 0) return field(id, INT, value, 0);
          return field(id, INT, ...int64(value));
        case "double":
          field(id, DOUBLE, 0, 0);
          fields.view.setFloat64(fields.length - 8, value, true);
          return;
        case "bool":
          return field(id, BOOL, value ? 1 : 0, 0);
        case "list":
        case "map":
          return heapField(id, HEAP_JSON, JSON.stringify(value));
      }
      if (value instanceof Span) {
        this.check(value.start, value.end);
        return field(id, type === "bytes" ? ITEM_BYTES : ITEM_TEXT, value.start, value.end - value.start);
      }
      if (type === "string") return heapField(id, HEAP_TEXT, String(value));
      const at = heap.take(value.length);
      heap.bytes.set(value, at);
      field(id, HEAP_BYTES, at, value.length);
    }
  }

  function field(id, type, low, high) {
    const at = fields.take(FIELD) >> 2, words = fields.words;
    words[at] = id | (type << 16);
    words[at + 1] = 0;
    words[at + 2] = low;
    words[at + 3] = high;
  }

  function heapField(id, type, text) {
    const at = heap.text(text);
    field(id, type, at, heap.length - at);
  }

  function heapText(text) {
    const at = heap.text(text);
    return [at, heap.length - at];
  }

  function int64(value) {
    if (typeof value === "bigint") {
      if (BigInt.asIntN(64, value) !== value) throw new TypeError(`${value} does not fit 64 bits`);
      return [Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n))];
    }
    if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is not a whole number`);
    return [value >>> 0, Math.floor(value / TWO32) >>> 0];
  }

  /** Numbers stand for themselves plus 1 (0 means "in order"), text for two 32-bit FNV-1a hashes. */
  function writeKey(words, at, key) {
    let low = 0, high = 0;
    if (typeof key === "number") {
      [low, high] = int64(key + 1);
    } else if (key !== undefined && key !== null && key !== "") {
      low = 0x811c9dc5;
      high = 0x050c5d1f;
      const text = String(key);
      for (let i = 0; i < text.length; i++) {
        low = Math.imul(low ^ text.charCodeAt(i), 0x01000193);
        high = Math.imul(high ^ text.charCodeAt(i), 0x01000193) + i;
      }
      low |= 1; // never 0
    }
    words[at] = low;
    words[at + 1] = high;
  }

  /** The values of a filter's item, at `at` of the input. */
  function values(at) {
    const count = input.getUint32(at, true);
    const list = new Array(count);
    for (let i = 0; i < count; i++) {
      const field = at + 8 + FIELD * i;
      const low = input.getUint32(field + 8, true), high = input.getUint32(field + 12, true);
      switch (inputBytes[field + 2]) {
        case INT: {
          const value = input.getBigInt64(field + 8, true);
          const number = Number(value);
          list[i] = Number.isSafeInteger(number) ? number : value;
          break;
        }
        case DOUBLE:
          list[i] = input.getFloat64(field + 8, true);
          break;
        case BOOL:
          list[i] = low !== 0;
          break;
        case HEAP_TEXT:
          list[i] = decodeUtf8(inputBytes, at + low, at + low + high);
          break;
        case HEAP_JSON:
          list[i] = JSON.parse(decodeUtf8(inputBytes, at + low, at + low + high));
          break;
        default:
          list[i] = inputBytes.slice(at + low, at + low + high);
      }
    }
    return list;
  }

  // --- asking for what the manifest's permissions name ---

  const ASK_HEAD = 16, ASKED = 1, ANSWERED = 2, SPINS = 20000; // some 200 microseconds; most answers from disk are quicker
  const STATUSES = ["ok", "refused", "failed", "late", "invalid"];
  let askFlags, ask32, askBytes, mayAsk = false, hookName = "the script itself";

  class ServiceError extends Error {
    constructor(status, message) {
      super(message);
      this.name = "ServiceError";
      this.status = status;
    }
  }

  /** Ask the broker and wait: the parts of its answer, as copies. Strings go as UTF-8, all else as bytes. */
  function ask(service, ...given) {
    if (!mayAsk) throw new ServiceError("refused", `${service} cannot be asked for in ${hookName}, only in ${SERVICE_HOOKS}`);
    const parts = [service, ...given].map((part) => {
      if (part instanceof Uint8Array) return part;
      const text = String(part), bytes = new Uint8Array(3 * text.length);
      return bytes.subarray(0, encodeUtf8(text, bytes, 0));
    });
    const length = parts.reduce((sum, part) => sum + part.length, 8 + 4 * parts.length);
    if (length > askBytes.length) throw new ServiceError("invalid", `a request of ${length} bytes, at most ${askBytes.length} fit`);
    ask32.setUint32(0, 0, true);
    ask32.setUint32(4, parts.length, true);
    let at = 8;
    for (const part of parts) ask32.setUint32(at, part.length, true), (at += 4);
    for (const part of parts) askBytes.set(part, at), (at += part.length);
    Atomics.store(askFlags, 1, length);
    Atomics.store(askFlags, 0, ASKED);
    for (let spins = 0; Atomics.load(askFlags, 0) !== ANSWERED; ) if (++spins > SPINS) Atomics.wait(askFlags, 0, ASKED, 1);
    Atomics.store(askFlags, 0, 0);
    const status = ask32.getUint32(0, true), answer = [];
    at = 8 + 4 * ask32.getUint32(4, true);
    for (let i = 8, first = at; i < first; i += 4) {
      const end = at + ask32.getUint32(i, true);
      answer.push(askBytes.slice(at, end));
      at = end;
    }
    if (status !== 0) throw new ServiceError(STATUSES[status] ?? "failed", decodeUtf8(answer[0], 0, answer[0].length));
    return answer;
  }

  const utf8 = (bytes) => decodeUtf8(bytes, 0, bytes.length), latin1 = (bytes) => decodeLatin1(bytes, 0, bytes.length);

  const RETURNS = {
    nothing: () => undefined,
    bytes: ([bytes]) => bytes,
    entries(parts) {
      const rows = [];
      for (let i = 0; i < parts.length; i += 3) rows.push({ name: utf8(parts[i]), kind: utf8(parts[i + 1]), size: Number(utf8(parts[i + 2])) });
      return rows;
    },
    response([status, reason, url, lines, bytes]) {
      const headers = {};
      for (const line of latin1(lines).split("\n")) {
        const colon = line.indexOf(":");
        if (colon < 1) continue;
        const name = line.slice(0, colon).toLowerCase(), value = line.slice(colon + 1).trim();
        headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
      }
      return { status: Number(latin1(status)), statusText: latin1(reason), url: latin1(url), headers, bytes, text: () => utf8(bytes) };
    },
  };

  const services = Object.fromEntries(
    Object.entries(SERVICES).map(([name, [service, returns]]) => [name, (...given) => RETURNS[returns](ask(service, ...given))]),
  );
  const askHttp = services.http;
  services.http = ({ url, method = "GET", headers = {}, body = "" }) => {
    const lines = Object.entries(headers).map(([name, value]) => {
      if (/[\r\n]/.test(name + value)) throw new ServiceError("invalid", `header ${JSON.stringify(name)} has a line end`);
      return `${name}: ${value}\n`;
    });
    return askHttp(method, url, Uint8Array.from(lines.join(""), (char) => char.charCodeAt(0)), body);
  };

  // --- the hooks ---

  let written; // bytes of the result so far

  function begin(hook, items) {
    output.setUint32(0, RESULT_MAGIC, true);
    output.setUint16(4, ABI, true);
    output.setUint16(6, hook, true);
    output.setUint32(8, items, true);
    for (let at = 12; at < HEADER; at += 4) output.setUint32(at, 0, true);
    written = HEADER;
  }

  function append(bytes) {
    if (written + bytes.length > outputBytes.length) throw new RangeError("the result is larger than 8 MiB");
    outputBytes.set(bytes, written);
    written = (written + bytes.length + 7) & ~7;
  }

  function finish() {
    output.setUint32(24, written, true);
    return written;
  }

  function answers(hook, items, each) {
    begin(hook, items);
    const bytes = new Uint8Array(items);
    for (let i = 0; i < items; i++) bytes[i] = each(HEADER + ITEM * i);
    append(bytes);
    return finish();
  }

  const VERDICTS = new Map([[true, 1], [false, 0], ["more", 2]]);

  function probe(items, payload) {
    return answers(PROBE, items, (at) => {
      const verdict = VERDICTS.get(plugin.probe(new Item(at, payload)));
      if (verdict === undefined) throw new TypeError('probe must return true, false or "more"');
      return verdict;
    });
  }

  function dissect(items, payload) {
    messages.length = fields.length = heap.length = 0;
    const consumed = new Uint32Array(items);
    for (let i = 0; i < items; i++) {
      const item = new Item(HEADER + ITEM * i, payload);
      const taken = plugin.dissect(item, new Output(i, item.length));
      if (!(taken >= 0 && taken <= item.length)) {
        throw new TypeError(`dissect must return how many of the ${item.length} bytes it consumed, not ${taken}`);
      }
      consumed[i] = taken;
    }
    begin(DISSECT, items);
    output.setUint32(12, messages.length / MESSAGE, true);
    output.setUint32(16, fields.length / FIELD, true);
    output.setUint32(20, heap.length, true);
    append(new Uint8Array(consumed.buffer));
    for (const part of [messages, fields, heap]) append(part.bytes.subarray(0, part.length));
    return finish();
  }

  function filter(items, payload) {
    return answers(FILTER, items, (at) => {
      const { name, parameters } = manifest.filters[input.getUint32(at + 32, true)];
      const list = values(payload + input.getUint32(at, true));
      try {
        return plugin.filters[name](list.slice(0, parameters), ...list.slice(parameters)) ? 1 : 0;
      } catch (error) {
        if (error instanceof kubeshark.FilterError) return 2;
        throw error;
      }
    });
  }

  const PACKET_VERDICTS = new Map([["keep", 0], ["drop", 1], ["mark", 2]]);

  function packetFilter(items, payload) {
    return answers(PACKET_FILTER, items, (at) => {
      const offset = payload + input.getUint32(at, true);
      const verdict = PACKET_VERDICTS.get(
        plugin.packetFilter({
          bytes: inputBytes.subarray(offset, offset + input.getUint32(at + 4, true)),
          time: input.getBigUint64(at + 16, true),
          length: input.getUint32(at + 32, true),
          linkType: input.getUint32(at + 40, true),
        }),
      );
      if (verdict === undefined) throw new TypeError('packetFilter must return "keep", "drop" or "mark"');
      return verdict;
    });
  }

  /** Answer one JSON text a unit of `each` items; `answer` gets where the unit's first item lies. */
  function texts(hook, items, each, answer) {
    const units = items / each;
    const spans = new Uint32Array(2 * units);
    heap.length = 0;
    for (let i = 0; i < units; i++) {
      const said = answer(HEADER + each * ITEM * i);
      if (said) [spans[2 * i], spans[2 * i + 1]] = heapText(JSON.stringify(said));
    }
    begin(hook, units);
    output.setUint32(20, heap.length, true);
    append(new Uint8Array(spans.buffer));
    append(heap.bytes.subarray(0, heap.length));
    return finish();
  }

  function render(items, payload) {
    return texts(RENDER, items, 2, (at) => plugin.render(new Item(at, payload), new Item(at + ITEM, payload)));
  }

  class Enrichment {
    #said = { drop: false, tags: [], set: {}, redact: [] };
    drop() {
      this.#said.drop = true;
    }
    tag(...tags) {
      for (const tag of tags) this.#said.tags.push(String(tag));
    }
    set(variable, value) {
      this.#said.set[variable] = value;
    }
    redact(path, shown = "[redacted]") {
      this.#said.redact.push({ path: String(path), value: String(shown) });
    }
    redactText(text, shown = "[redacted]") {
      if (text) this.#said.redact.push({ text: String(text), value: String(shown) });
    }
    static said(enrichment) {
      return enrichment.#said;
    }
  }

  function enrich(items, payload) {
    return texts(ENRICH, items, 1, (at) => {
      const out = new Enrichment();
      plugin.enrich(out, ...values(payload + input.getUint32(at, true)));
      return Enrichment.said(out);
    });
  }

  function summarize(items, payload) {
    return texts(SUMMARIZE, items, 1, (at) => plugin.summarize(...values(payload + input.getUint32(at, true))));
  }

  class Report {
    #said = { error: "", log: [] };
    refuse(reason) {
      this.#said.error ||= String(reason) || "refused";
    }
    log(line) {
      this.#said.log.push(String(line));
    }
    static said(report) {
      return report.#said;
    }
  }

  /** Life cycle, jobs and sealed segments: `call(values, argument, report)` for each item. */
  function reports(hook, call) {
    return (items, payload) =>
      texts(hook, items, 1, (at) => {
        const out = new Report();
        call(values(payload + input.getUint32(at, true)), input.getUint32(at + 32, true), out);
        return Report.said(out);
      });
  }

  const SEGMENT = ["name", "path", "firstNs", "lastNs", "packets", "flows", "bytes", "storedBytes", "linkType", "source"];
  const named = (names, list) => Object.fromEntries(names.map((name, at) => [name, list[at]]));

  const ANSWERS = {
    packetFilter,
    segmentSealed: reports(NUMBERS.segmentSealed, (list, _, out) => plugin.segmentSealed(named(SEGMENT, list), out)),
    probe,
    dissect,
    enrich,
    filters: filter,
    summarize,
    render,
    jobs: reports(JOB, ([due], job, out) => plugin.jobs[manifest.jobs[job]](BigInt(due), out)),
    configure: reports(CONFIGURE, (list, _, out) => plugin.configure(named(manifest.settings, list), out)),
    start: reports(NUMBERS.start, (_list, _argument, out) => plugin.start(out)),
    stop: reports(NUMBERS.stop, (_list, _argument, out) => plugin.stop(out)),
  };
  const byNumber = new Map(Object.keys(ANSWERS).map((name) => [NUMBERS[name], ANSWERS[name]]));

  const nameOf = new Map(Object.keys(ANSWERS).map((name) => [NUMBERS[name], name]));

  function registerPlugin(callbacks) {
    if (plugin) throw new Error("kubeshark.plugin: called twice");
    for (const name of Object.keys(callbacks)) {
      if (!(name in ANSWERS)) throw new TypeError(`kubeshark.plugin: there is no hook ${name}`);
    }
    for (const { name } of manifest.filters) {
      if (typeof callbacks.filters?.[name] !== "function") throw new TypeError(`kubeshark.plugin: filters.${name} is missing`);
    }
    for (const name of manifest.jobs) {
      if (typeof callbacks.jobs?.[name] !== "function") throw new TypeError(`kubeshark.plugin: jobs.${name} is missing`);
    }
    plugin = callbacks;
  }

  return {
    kubeshark: Object.freeze({
      plugin: registerPlugin,
      equals: (variable, value) => `${variable} == ${JSON.stringify(value)}`,
      FilterError: class FilterError extends Error {},
      ServiceError,
      ...services,
    }),
    __ks: Object.freeze({
      abi: ABI,
      /** For shims of the host: `ask(service, ...parts)` returns the parts of the answer, or throws a ServiceError. */
      ask,
      /** Set the manifest up and return the two pieces of shared memory. */
      open(tables, askSize) {
        manifest = tables;
        tables.fields.forEach(([name, type], id) => fieldsByName.set(name, { id, type }));
        const ask = new SharedArrayBuffer(askSize);
        askFlags = new Int32Array(ask, 0, ASK_HEAD / 4);
        ask32 = new DataView(ask, ASK_HEAD);
        askBytes = new Uint8Array(ask, ASK_HEAD);
        return { frame: memory.buffer, ask };
      },
      hooks() {
        let bits = 0;
        for (const name of Object.keys(plugin ?? {})) bits |= 1 << NUMBERS[name];
        return bits;
      },
      /** Answer the request frame in the input buffer; return the bytes of the result. `asking`: somebody answers meanwhile. */
      call(asking) {
        if (input.getUint32(0, true) !== REQUEST_MAGIC) throw new Error("the request frame is damaged");
        mayAsk = asking;
        if (!asking) hookName = nameOf.get(input.getUint16(6, true)) ?? "this hook";
        return byNumber.get(input.getUint16(6, true))(input.getUint32(8, true), input.getUint32(16, true));
      },
    }),
  };
})();
