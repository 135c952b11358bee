// Redaction
var HIDDEN = /^(authorization|cookie|set-cookie|host)$/i;
function clean(headers) {
  Object.keys(headers || {}).forEach(function (name) { if (HIDDEN.test(name)) headers[name] = "[gone]"; });
}
function onItemQueried(data) {
  if (data.protocol.name !== "http") return;
  if (data.request) {
    clean(data.request.headers);
    data.request.cookies = {};
    if (data.request.postData) {
      try {
        var body = JSON.parse(data.request.postData.text);
        Object.keys(body).forEach(function (key) { body[key] = "[gone]"; });
        data.request.postData.text = JSON.stringify(body);
      } catch (error) { data.request.postData.text = "[gone]"; }
    }
  }
  if (data.response) {
    clean(data.response.headers);
    data.response.content.text = "[gone]";
  }
  return data;
}
