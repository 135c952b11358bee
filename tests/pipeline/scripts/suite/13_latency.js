// Latency per service pair
var requests = {}, total = 0;
function onItemCaptured(data) {
  if (!data.response) return;
  var pair = data.src.name + " " + data.dst.name;
  requests[pair] = (requests[pair] || 0) + 1;
  total += data.elapsedTime;
  prometheus.metric("latency_ms", "Last latency", 2, data.elapsedTime, { from: data.src.name, to: data.dst.name });
  prometheus.metric("requests_total", "Requests", 1, requests[pair], { from: data.src.name, to: data.dst.name });
  prometheus.metric("time", "All time", 3, total);
  console.log(prometheus.vector("pairs", "Pairs", 2, Object.keys(requests).length, { quote: 'a"b\\c' }));
  prometheus.metric("bad name", "x", 1, 1);
}
