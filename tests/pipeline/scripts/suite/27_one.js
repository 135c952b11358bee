// One of two
shared = "one";
this.counter = (this.counter || 0) + 1;
function onItemCaptured(data) { console.log("one", shared, this.counter, typeof other); }
other = 1;
