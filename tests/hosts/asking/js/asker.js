// Asks for what the name of a segment says; its path and source are the arguments.
"use strict";

const text = (bytes) => String.fromCharCode(...bytes);

const ORDERS = {
  http(url, body) {
    const response = kubeshark.http(body ? { url, method: "POST", body, headers: { "X-From": "js" } } : { url });
    return `${response.status} ${response.statusText} ${response.headers["x-kind"]} ${response.text()}`;
  },
  read: (path) => text(kubeshark.fileRead(path)),
  write: (path, data) => kubeshark.fileWrite(path, data),
  append: (path, data) => kubeshark.fileAppend(path, data),
  list: (path) => kubeshark.fileList(path).map(({ name, kind, size }) => `${name}:${kind}:${size}`).join(" "),
  delete: (path) => kubeshark.fileDelete(path),
  folder: (path) => kubeshark.fileMakeFolder(path),
  move: (source, target) => kubeshark.fileMove(source, target),
  large: (path) => kubeshark.fileWrite(path, new Uint8Array(9 << 20)),
  flood() {
    for (;;) {
      try {
        kubeshark.fileRead("data/nothing");
      } catch {
        continue;
      }
    }
  },
  nonsense: () => __ks.ask("nothing", "a", "b").length,
  wait() {
    __ks_buffers.ask && Atomics.store(new Int32Array(__ks_buffers.ask), 0, 1);
    for (;;);
  },
  lie() {
    const flags = new Int32Array(__ks_buffers.ask);
    Atomics.store(flags, 1, 0x7fffffff);
    Atomics.store(flags, 0, 1);
    while (Atomics.load(flags, 0) !== 2);
    return "answered";
  },
  header: (url) => kubeshark.http({ url, headers: { "X: y\r\nHost": "evil" } }).status,
  say: (path, source) => `${path} ${source}`,
};

kubeshark.plugin({
  segmentSealed({ name, path, source }, out) {
    try {
      out.log(String(ORDERS[name](path, source)));
    } catch (error) {
      out.refuse(`${error.name} ${error.status}: ${error.message}`);
    }
  },
  dissect(item, out) {
    let said;
    try {
      said = kubeshark.http({ url: item.text() }).text();
    } catch (error) {
      said = error.message;
    }
    out.message({ kind: "event", start: 0, end: item.bytes.length, fields: { said } });
    return item.bytes.length;
  },
  start(out) {
    try {
      out.log(text(kubeshark.fileRead("data/at-start")));
    } catch (error) {
      out.log(error.message);
    }
  },
  stop() {
    kubeshark.fileWrite("data/at-stop", "stopped");
  },
});
