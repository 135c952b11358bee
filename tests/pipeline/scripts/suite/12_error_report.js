// Network error report
var report = {};
function onItemCaptured(data) {
  if (!data.error) return;
  var key = data.error.type;
  if (!report[key]) report[key] = { count: 0, messages: [] };
  report[key].count++;
  if (report[key].messages.indexOf(data.error.msg) < 0) report[key].messages.push(data.error.msg);
}
jobs.schedule("errors", "*/10 * * * * *", function () {
  console.log(utils.json2Yaml(JSON.stringify(report)));
  report = {};
});
