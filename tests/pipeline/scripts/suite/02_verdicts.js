// Verdicts by status
function onItemQueried(data) {
  if (!data.response) return;
  if (data.response.status >= 500) return test.fail(data);
  if (data.response.status >= 200 && data.response.status < 300) return test.pass(data);
}
