// Packet count
var packets = 0;
var kilobytes = 0;

function onPacketCaptured(info) {
  packets++;
  kilobytes += info.length / 1000;
}

function report() {
  console.log("packets", packets, "KB", kilobytes.toFixed(3));
  packets = 0;
  kilobytes = 0;
}

jobs.schedule("packet-count", "0 * * * * *", report);
