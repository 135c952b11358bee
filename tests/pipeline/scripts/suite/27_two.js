// Two of two
shared = "two";
this.counter = (this.counter || 0) + 1;
function onItemCaptured(data) { console.log("two", shared, this.counter, typeof other); }
