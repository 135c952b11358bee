// Only for workers
if (utils.nodeName() === "hub") {
  throw "not on the hub";
}
var count = 0;
function onItemCaptured(data) { console.log(++count); }
