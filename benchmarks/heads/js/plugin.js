"use strict";

const SPACE = 32, LF = 10, CR = 13, COLON = 58;

kubeshark.plugin({
  dissect(item, out) {
    const methodEnd = item.find(SPACE);
    if (methodEnd < 1) return 0;
    const pathEnd = item.find(SPACE, methodEnd + 1);
    if (pathEnd < 0) return 0;
    let lineEnd = item.find(LF, pathEnd);
    if (lineEnd < 0) return 0;
    let headers = 0, host = 0, hostEnd = 0, length = -1;
    for (let at = lineEnd + 1; ; at = lineEnd + 1) {
      lineEnd = item.find(LF, at);
      if (lineEnd < 0) return 0;
      const stop = lineEnd > at && item.at(lineEnd - 1) === CR ? lineEnd - 1 : lineEnd;
      if (stop === at) break;
      const colon = item.find(COLON, at, stop);
      if (colon < 0) return 0;
      let value = colon + 1;
      while (value < stop && item.at(value) === SPACE) value++;
      headers++;
      if (item.equals(at, colon, "host")) {
        host = value;
        hostEnd = stop;
      } else if (item.equals(at, colon, "content-length")) {
        length = item.decimal(value, stop) ?? -1;
      }
    }
    out.message({
      kind: "request",
      start: 0,
      end: lineEnd + 1,
      fields: {
        method: item.span(0, methodEnd),
        path: item.span(methodEnd + 1, pathEnd),
        host: item.span(host, hostEnd),
        headers,
        length,
      },
    });
    return lineEnd + 1;
  },
});
