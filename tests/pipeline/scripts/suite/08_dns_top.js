// DNS top five
var names = {};
var RED = "\u001b[31m", PLAIN = "\u001b[0m";
function onItemCaptured(data) {
  if (data.protocol.name !== "dns" || !data.request) return;
  data.request.questions.forEach(function (question) {
    names[question.name] = (names[question.name] || 0) + 1;
  });
}
function report() {
  if (utils.nodeName() === "hub") {
    console.clear();
    return;
  }
  var top = Object.keys(names).sort(function (a, b) { return names[b] - names[a] || (a < b ? -1 : 1); }).slice(0, 5);
  top.forEach(function (name) { console.log(RED + name + PLAIN, names[name]); });
}
console.log("begins");
jobs.schedule("dns-top", "*/10 * * * * *", report);
