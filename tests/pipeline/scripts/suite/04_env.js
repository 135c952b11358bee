// Env dump
console.log(JSON.stringify(env));
console.log(env.MISSING === undefined, typeof process, typeof require);
env.NEW = "no";
console.log(Object.keys(env).length);
