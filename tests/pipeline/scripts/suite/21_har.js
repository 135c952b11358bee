// HAR batches
var MINIMUM = 3;
var held = [];
function onItemCaptured(data) {
  if (data.Protocol.Name !== "http" || !data.Response) return;
  held.push(data);
  if (held.length < MINIMUM) return;
  var har = wrapper.buildHAR(held.concat([{ protocol: { name: "dns" } }]));
  held = [];
  console.log(har.log.version, har.log.entries.length, har.log.entries[0].request.url, har.log.entries[0].response.status);
  try {
    console.log(vendor.kinesis.put("stream", har, "us-east-1", "AK", "SK").shardId);
  } catch (error) {
    console.error(error);
  }
}
