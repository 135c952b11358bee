// External connections
var PRIVATE = [/^10\./, /^192\.168\./, /^172\.(1[6-9]|2\d|3[01])\./, /^127\./, /^f[cd]/i, /^fe80:/i, /^::1$/];
function isPrivate(ip) {
  return PRIVATE.some(function (pattern) { return pattern.test(ip); });
}
function onItemCaptured(data) {
  if (isPrivate(data.dst.ip)) return;
  console.log(data.src.processName || "unknown process", "->", data.dst.ip);
}
