// KFL, good and bad
var QUERIES = ["", "http", "http && status_code >= 500", "http and response.status >= 500", "dns", "http ?? 1"];
function onItemCaptured(data) {
  var said = [];
  for (var i = 0; i < QUERIES.length; i++) {
    try {
      said.push(kfl.match(QUERIES[i], data));
    } catch (error) {
      said.push("" + error.message.split(":").slice(0, 2).join(":"));
    }
  }
  said.push(kfl.match("http && path == \"/changed\"", { protocol: data.protocol, request: { path: "/changed" } }));
  console.log(said.join(" "), kfl.validate("http"), kfl.validate("http ??"));
}
