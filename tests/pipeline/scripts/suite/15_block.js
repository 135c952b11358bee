// Blocks a pod that talks to a listed name
var LISTED = { "evil.example": true };
function onItemCaptured(data) {
  if (data.protocol.name !== "dns" || !LISTED[data.request.questions[0].name]) return;
  try {
    hub.blockPod(data.src.pod.metadata.name, data.src.namespace);
    console.log("asked for");
  } catch (error) {
    console.error("refused:", error);
  }
}
