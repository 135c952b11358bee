// Hostile: what it does is chosen by the path of a request
function onItemCaptured(data) {
  var acts = {
    loop: function () { for (;;) {} },
    memory: function () { var held = []; for (;;) held.push(new ArrayBuffer(64 << 20)); },
    recursion: function () { (function deeper() { deeper(); })(); },
    regex: function () { /^(a+)+$/.test("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"); },
    prototype: function () {
      Array.prototype.push = JSON.stringify = JSON.parse = Map.prototype.get = function () { throw new Error("mine"); };
      Object.prototype.toJSON = undefined;
      console.log("tampered");
    },
    path: function () { file.write("../outside", "x"); },
    absolute: function () { file.write("/tmp/outside", "x"); },
    lines: function () { for (var i = 0; i < 1e9; i++) console.log("line " + i); },
    globals: function () { onItemCaptured = null; globalThis.__ks = null; Atomics.wait = null; },
  };
  acts[data.request.path]();
}
