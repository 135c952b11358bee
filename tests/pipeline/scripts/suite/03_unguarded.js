// Counts statuses, and trusts that there is a response
var counts = {};
function onItemCaptured(data) {
  var status = data.response.status;
  counts[status] = (counts[status] || 0) + 1;
}
function onHubAction() {
  console.log(counts);
}
jobs.schedule("tell", "0 0 0 1 1 *", function () { console.log(counts); });
