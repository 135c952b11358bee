// Jobs: limits, arguments, failures
var runs = 0;
jobs.schedule("three", "* * * * * *", function (a, b) { console.log("three", ++runs, a, b); }, 3, "x", { y: 1 });
var tries = 0;
jobs.schedule("shaky", "@every 30s", function () { if (++tries % 2 === 0) throw new Error("second"); });
jobs.schedule("once", "@hourly", async function () { jobs.remove("once"); await null; console.log("async end"); });
try {
  jobs.schedule("bad", "* * * * * *", "no function");
} catch (error) {
  console.log(error.name);
}
jobs.schedule("wrong", "every now and then", function () {});
console.log(jobs.list().join(","), jobs.scheduler.isRunning());
function onJobPassed(tag, cron, limit) { console.log("passed", tag, cron, limit); }
function onJobFailed(tag, cron, limit, err) { console.log("failed", tag, cron, limit, err); }
