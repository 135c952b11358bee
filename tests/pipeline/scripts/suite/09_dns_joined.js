// DNS of all workers, joined on the hub
var mine = {};
var all = {};
function onItemCaptured(data) {
  if (data.protocol.name !== "dns" || !data.request) return;
  var name = data.request.questions[0].name;
  mine[name] = (mine[name] || 0) + 1;
}
function onHubAction(action, object) {
  if (action === "dns") {
    all = joinMaps(all, object.counts);
    console.log(object.node === "hub", Object.keys(all).length, all);
  }
}
if (utils.nodeName() !== "hub") {
  jobs.schedule("send", "*/10 * * * * *", function () {
    hub.action("dns", { node: utils.nodeName(), counts: mine });
    mine = {};
  });
}
