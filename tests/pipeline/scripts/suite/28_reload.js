// Reloaded
var version = 1;
function onItemCaptured(data) { console.log("version", version); }
