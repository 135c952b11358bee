// Raw TCP that looks like HTTP, and HTTP
var raw = 0, parsed = 0;
function onItemCaptured(data) {
  if (kfl.match('tcp and data.payload.startsWith("GET")', data)) {
    raw++;
    console.log("raw", data.data.payload.split(" ")[1]);
  } else if (data.protocol.name === "http") {
    parsed++;
  }
}
jobs.schedule("tell", "0 0 0 * * *", function () { console.log(raw, parsed); });
