// Records entries and packets for a while
var active = true;
var folder = file.mkdirTemp("record");
var seen = {};
function onItemCaptured(data) {
  if (!active || data.protocol.name !== "http") return;
  file.write(folder + "/" + data.entryFile, JSON.stringify(data));
  if (!seen[data.stream]) {
    seen[data.stream] = true;
    file.copy(pcap.path(data.stream), folder + "/");
  }
}
setTimeout(function () {
  active = false;
  file.append(folder + "/names.txt", Object.keys(seen).join("\n"));
  var archive = file.tar(folder);
  file.delete(folder);
  console.log("recorded", Object.keys(seen).length, archive.slice(-7));
}, 1000);
