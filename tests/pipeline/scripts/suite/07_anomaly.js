// Mean and deviation of the time per path
var times = {};
function onItemCaptured(data) {
  if (data.protocol.name != "http" || !data.response) return;
  var path = data.request.path;
  if (!times[path]) times[path] = [];
  times[path].push(data.elapsedTime);
}
function report() {
  Object.keys(times).sort().forEach(function (path) {
    var list = times[path];
    var mean = list.reduce(function (a, b) { return a + b; }, 0) / list.length;
    var variance = list.reduce(function (a, b) { return a + (b - mean) * (b - mean); }, 0) / list.length;
    console.log(path, mean.toFixed(2), Math.sqrt(variance).toFixed(2));
  });
  times = {};
}
jobs.schedule("anomaly", "*/30 * * * * *", report);
