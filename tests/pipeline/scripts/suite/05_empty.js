// Empty hooks
function onPacketCaptured(info) {}
function onItemCaptured(data) {}
function onItemQueried(data) {}
