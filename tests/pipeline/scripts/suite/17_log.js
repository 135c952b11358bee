// Passes on warnings and errors
function onLogCall(level, msg) {
  var record = JSON.parse(msg);
  if (level === "warning" || level === "error") console.log(level, record.message, record.segment);
}
