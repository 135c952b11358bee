"use strict";

const SPACE = 32, LF = 10, CR = 13, COLON = 58;

/** Report the head that begins at `start`; return where it ends, -1 where it is not whole. */
function head(item, out, start) {
  const methodEnd = item.find(SPACE, start);
  if (methodEnd <= start) return -1;
  const pathEnd = item.find(SPACE, methodEnd + 1);
  if (pathEnd < 0) return -1;
  let lineEnd = item.find(LF, pathEnd);
  if (lineEnd < 0) return -1;
  let headers = 0, host = start, hostEnd = start, length = -1;
  for (let at = lineEnd + 1; ; at = lineEnd + 1) {
    lineEnd = item.find(LF, at);
    if (lineEnd < 0) return -1;
    const stop = lineEnd > at && item.at(lineEnd - 1) === CR ? lineEnd - 1 : lineEnd;
    if (stop === at) break;
    const colon = item.find(COLON, at, stop);
    if (colon < 0) return -1;
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
    start,
    end: lineEnd + 1,
    fields: {
      method: item.span(start, methodEnd),
      path: item.span(methodEnd + 1, pathEnd),
      host: item.span(host, hostEnd),
      headers,
      length,
    },
  });
  return lineEnd + 1;
}

kubeshark.plugin({
  dissect(item, out) {
    let at = 0;
    for (let end = head(item, out, at); end >= 0; end = head(item, out, at)) at = end;
    return at;
  },
});
