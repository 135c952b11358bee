// Switched off
var ACTIVE = false;
function onItemCaptured(data) { console.log("seen"); }
if (!ACTIVE) return;
jobs.schedule("never", "* * * * * *", function () {});
