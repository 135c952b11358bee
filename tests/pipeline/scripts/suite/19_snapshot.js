// A snapshot of some streams to a bucket
var streams = {};
function onItemCaptured(data) {
  if (data.protocol.name === "http") streams[data.stream] = true;
}
jobs.schedule("upload", "0 0 * * * *", function () {
  var folder = file.mkdirTemp("snapshot");
  var snapshot = pcap.snapshot(Object.keys(streams));
  file.move(snapshot, folder + "/");
  var path = folder + "/" + snapshot;
  console.log(vendor.s3.put(env.BUCKET, path, "us-east-1", env.KEY, env.SECRET));
  console.log(vendor.s3.put("us-east-1", env.KEY, env.SECRET, env.BUCKET, path));
});
jobs.schedule("clear", "0 0 0 * * *", function () {
  vendor.s3.clear("us-east-1", env.KEY, env.SECRET, env.BUCKET);
});
