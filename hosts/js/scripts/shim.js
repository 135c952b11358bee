// What a Kubeshark script finds in its isolate: hooks are called, helpers are there (docs/plugins/scripts.md).
// Runs after library.js and before any script. The host sees `__ks.call()` and `__ks.take()`; both speak JSON.
//
// Invariants:
// 1. Nothing a script throws or redefines stops a batch: each call is caught, and the built-ins used here were taken first.
// 2. What a script wants done is queued in order and taken after the call, or asked for at once through shared memory.
// 3. Queues are bounded: console lines beyond the bound are dropped and counted, everything else throws.
"use strict";

const __ks = (() => {
  const { json2Yaml, joinMaps, buildHAR, sentiment, btoa, atob, TextEncoder, TextDecoder } = globalThis.__library;
  delete globalThis.__library;
  const { parse, stringify } = JSON;
  const { freeze, defineProperty, setPrototypeOf, getPrototypeOf, keys: keysOf } = Object;
  const { apply } = Reflect;
  const { now } = Date;
  const { isArray } = Array;
  const { fromCharCode } = String;
  const { min, max, floor, random } = Math;
  const atomics = { load: Atomics.load, store: Atomics.store, wait: Atomics.wait };
  const bind = (method) => (self, ...rest) => apply(method, self, rest);
  const subarray = bind(Uint8Array.prototype.subarray);
  const charCodeAt = bind(String.prototype.charCodeAt), slice = bind(String.prototype.slice);
  const exec = bind(RegExp.prototype.exec), then = bind(Promise.prototype.then);
  const mapGet = bind(Map.prototype.get), mapSet = bind(Map.prototype.set), mapDelete = bind(Map.prototype.delete);
  const mapHas = bind(Map.prototype.has), mapEach = bind(Map.prototype.forEach);
  const weakGet = bind(WeakMap.prototype.get), weakSet = bind(WeakMap.prototype.set);
  const hasOwn = bind(Object.prototype.hasOwnProperty);
  const { Error: Failure, TypeError: WrongType, Promise: Pledge, Map: Table, WeakMap: WeakTable } = globalThis;
  const sizeOfMap = bind(Object.getOwnPropertyDescriptor(Map.prototype, "size").get);

  const HOOKS = [
    "onPacketCaptured", "onItemCaptured", "onItemQueried", "onHubAction", "onPodEvent", "onJobPassed", "onJobFailed",
    "onLogCall",
  ];
  const MAX_QUEUED = 2 << 20; // characters of commands a call
  const CONSOLE_PER_MINUTE = 8 << 20;
  const MAX_DISTINCT = 256; // messages of errors remembered
  const MAX_TIMERS = 1000;
  const SPINS = 40000; // about 0.3 ms

  let input, flags, question; // shared with the host: bytes in; [state, length]; bytes out
  let node = "", queue = [], queued = 0, lastId = 0;
  const scripts = new Table(); // id -> Script

  // --- text through shared memory: JSON in ASCII both ways ---

  function readInput(length) {
    let text = "";
    for (let at = 0; at < length; at += 8192) text += apply(fromCharCode, null, subarray(input, at, min(length, at + 8192)));
    return text;
  }

  function writeQuestion(text) {
    let at = 0;
    for (let i = 0; i < text.length; i++) {
      const code = charCodeAt(text, i);
      if (at + 6 > question.length) throw new Failure("too much data for one call");
      if (code < 128) {
        question[at++] = code;
      } else {
        question[at++] = 92; // \uXXXX
        question[at++] = 117;
        for (let shift = 12; shift >= 0; shift -= 4) question[at++] = charCodeAt("0123456789abcdef", (code >> shift) & 15);
      }
    }
    return at;
  }

  // The script waits for the host. Spinning answers within microseconds; after that it sleeps a millisecond a time.
  function ask(script, name, ...values) {
    const length = writeQuestion(stringify({ script: script.id, name, values }));
    atomics.store(flags, 1, length);
    atomics.store(flags, 0, 1);
    for (let turns = 0; atomics.load(flags, 0) !== 2; turns++) {
      if (turns > SPINS) atomics.wait(flags, 0, 1, 1);
    }
    atomics.store(flags, 0, 0);
    const answer = parse(readInput(atomics.load(flags, 1)));
    if (answer.error !== undefined) throw new Failure(answer.error);
    return answer.value;
  }

  function push(script, name, values) {
    const text = stringify([script.id, name, values]);
    if (queued + text.length > MAX_QUEUED) throw new Failure("too many commands in one call");
    queued += text.length;
    queue[queue.length] = text;
  }

  // --- console ---

  function shown(value) {
    if (typeof value === "string") return value;
    if (value instanceof Failure) return "" + value.message;
    if (typeof value === "function") return "[function]";
    if (typeof value === "object" && value !== null) {
      try {
        const text = stringify(value);
        return text === undefined ? "[object]" : text;
      } catch (error) {
        return "[object that is not JSON]";
      }
    }
    return typeof value === "symbol" ? "[symbol]" : "" + value;
  }

  function line(script, level, values) {
    let text = "";
    for (let i = 0; i < values.length; i++) text += (i ? " " : "") + shown(values[i]);
    const at = now();
    if (at - script.minute >= 60000 || at < script.minute) {
      script.minute = at;
      script.said = 0;
    }
    script.said += text.length + 1;
    if (script.said > CONSOLE_PER_MINUTE || queued + text.length + 100 > MAX_QUEUED) {
      script.dropped++;
      return;
    }
    if (script.dropped) {
      push(script, "console", ["error", `${script.dropped} lines were dropped`, at]);
      script.dropped = 0;
    }
    push(script, "console", [level, text, at]);
  }

  function message(error) {
    try {
      if (error instanceof Failure) return `${error.name}: ${error.message}`;
      return shown(error);
    } catch (other) {
      return "an error that cannot be shown";
    }
  }

  function place(script, error) {
    try {
      const found = exec(new RegExp(`${script.file}:(\\d+):(\\d+)`), "" + error.stack);
      return found ? ` ${found[1] - 1}:${found[2]}` : "";
    } catch (other) {
      return "";
    }
  }

  function failed(script, hook, error) {
    script.errors++;
    const text = `${hook}: ${message(error)}${typeof error === "object" && error !== null ? place(script, error) : ""}`;
    const at = now(), last = mapGet(script.complained, text);
    if (last !== undefined && at - last < 60000) return;
    if (sizeOfMap(script.complained) >= MAX_DISTINCT) script.complained = new Table();
    mapSet(script.complained, text, at);
    line(script, "error", [text]);
  }

  // --- objects as scripts know them: Go-style names as getters that are not enumerable ---

  const ALIASES = {};
  for (const name of (
    "id index stream worker node protocol tls src dst timestamp startTime request response requestSize responseSize" +
    " elapsedTime passed failed error record event data size namespace outgoing capture name version abbr longName" +
    " macro ports layer3 layer4 priority port pod service processId processName processPath method url path" +
    " pathSegments httpVersion headers cookies queryString headersSize bodySize postData mimeType text params status" +
    " statusText content encoding redirectURL type msg source labels annotations creationTimestamp nodeName podIP" +
    " hostIP phase metadata spec questions answers code command key value keyword payload ip"
  ).split(" ")) ALIASES[name[0].toUpperCase() + name.slice(1)] = name;
  ALIASES.IP = "ip";
  ALIASES.ID = "id";
  ALIASES.URL = "url";
  ALIASES.TLS = "tls";
  ALIASES.ObjectMeta = "metadata";
  const named = {};
  for (const alias of keysOf(ALIASES)) {
    const name = ALIASES[alias];
    defineProperty(named, alias, {
      get() { return this[name]; },
      set(value) { defineProperty(this, alias, { value, writable: true, enumerable: true, configurable: true }); },
      configurable: false,
      enumerable: false,
    });
  }
  freeze(named);
  const NESTED = ["protocol", "src", "dst", "request", "response", "node", "error", "event", "capture", "data", "pod",
    "service", "metadata", "spec", "status", "postData", "content"];
  function withAliases(value, depth) {
    if (typeof value !== "object" || value === null || isArray(value)) return value;
    setPrototypeOf(value, named);
    if (depth) {
      for (let i = 0; i < NESTED.length; i++) if (hasOwn(value, NESTED[i])) withAliases(value[NESTED[i]], depth - 1);
    }
    return value;
  }

  // --- timers ---

  const timers = new Table();
  function addTimer(script, call, delay, values, every) {
    if (typeof call !== "function") throw new WrongType("the first argument is not a function");
    if (sizeOfMap(timers) >= MAX_TIMERS) throw new Failure(`more than ${MAX_TIMERS} timers`);
    const wait = max(every ? 1 : 0, min(+delay || 0, 2147483647));
    const id = ++lastId;
    mapSet(timers, id, { script, call, values, at: now() + wait, every: every ? wait : 0 });
    return id;
  }
  function clearTimer(id) {
    mapDelete(timers, id);
  }
  function runTimers() {
    const at = now(), due = [];
    mapEach(timers, (timer, id) => {
      if (timer.at <= at) due[due.length] = [id, timer];
    });
    due.sort((one, other) => one[1].at - other[1].at || one[0] - other[0]);
    for (let i = 0; i < due.length; i++) {
      const [id, timer] = due[i];
      if (!mapHas(timers, id)) continue; // cleared by one before
      if (timer.every) timer.at = max(at, timer.at) + timer.every;
      else mapDelete(timers, id);
      try {
        apply(timer.call, globalThis, timer.values);
      } catch (error) {
        failed(timer.script, "timer", error);
      }
    }
  }
  function nextTimer() {
    let next = null;
    mapEach(timers, (timer) => {
      if (next === null || timer.at < next) next = timer.at;
    });
    return next === null ? null : max(0, next - now());
  }

  // --- jobs ---

  function schedule(script, tag, cron, call, limit = 0, ...values) {
    if (typeof call !== "function") throw new WrongType(`job ${shown(tag)}: the task is not a function`);
    tag = "" + tag;
    mapSet(script.jobs, tag, { call, values, cron: "" + cron, limit: floor(+limit || 0), runs: 0, busy: false });
    push(script, "job", [tag, "" + cron, floor(+limit || 0)]);
  }
  function removeJob(script, tag) {
    if (mapDelete(script.jobs, tag)) push(script, "job.gone", [tag]);
  }
  function runJob(script, tag) {
    const job = mapGet(script.jobs, tag);
    if (job === undefined) return;
    if (job.busy) {
      push(script, "job.skipped", [tag]);
      return;
    }
    job.busy = true;
    job.runs++;
    const start = now();
    push(script, "job.began", [tag]);
    const done = (error, isFailed) => {
      job.busy = false;
      push(script, "job.done", [tag, isFailed ? message(error) : "", now() - start]);
      if (job.limit > 0 && job.runs >= job.limit && mapGet(script.jobs, tag) === job) removeJob(script, tag);
      if (isFailed) runHook(script, "onJobFailed", [tag, job.cron, job.limit, message(error)]);
      else runHook(script, "onJobPassed", [tag, job.cron, job.limit]);
    };
    let result;
    try {
      result = apply(job.call, globalThis, job.values);
    } catch (error) {
      done(error, true);
      return;
    }
    if (result instanceof Pledge) {
      then(result, () => done(null, false), (error) => done(error, true));
    } else {
      done(null, false);
    }
  }

  // --- the helpers of one script ---

  const places = new WeakTable(); // item of the current call -> its place, for kfl.match
  function response(value) {
    const made = { ...value };
    defineProperty(made, "toString", { value: () => value.body, enumerable: false });
    return made;
  }

  function helpers(script, env) {
    const queuing = (name) => (...values) => push(script, name, values);
    const asking = (name) => (...values) => ask(script, name, ...values);
    const onQueue = (prefix, names) => {
      const made = {};
      for (const name of names.split(" ")) made[name] = queuing(`${prefix}.${name}`);
      return made;
    };
    const onAsk = (prefix, names) => {
      const made = {};
      for (const name of names.split(" ")) made[name] = asking(`${prefix}.${name}`);
      return made;
    };
    const say = (level) => (...values) => line(script, level, values);
    const console = {
      log: say("log"), error: say("error"), info: say("log"), warn: say("error"), debug: say("log"),
      clear: queuing("console.clear"),
    };
    const test = {
      pass(data) { data.passed = true; return data; },
      fail(data) { data.failed = true; return data; },
    };
    const kfl = {
      match(query, data) {
        const at = weakGet(places, data);
        return at === undefined ? ask(script, "kfl.match", "" + query, data) : ask(script, "kfl.match", "" + query, null, at);
      },
      validate: (query) => ask(script, "kfl.validate", "" + query),
    };
    const everywhere = (name, here) => (tag) => {
      here(tag);
      push(script, name, tag === undefined ? [] : ["" + tag]);
    };
    const tags = () => {
      const list = [];
      mapEach(script.jobs, (_, tag) => { list[list.length] = tag; });
      return list;
    };
    const jobs = {
      schedule: (tag, cron, call, limit, ...values) => schedule(script, tag, cron, call, limit, ...values),
      remove: everywhere("jobs.remove", (tag) => removeJob(script, "" + tag)),
      removeAll: everywhere("jobs.removeAll", () => tags().forEach((tag) => removeJob(script, tag))),
      run: (tag) => push(script, "jobs.run", ["" + tag]),
      runAll: () => push(script, "jobs.runAll", []),
      list: tags,
      scheduler: {
        isRunning: () => script.schedules,
        start() { script.schedules = true; push(script, "scheduler", [true]); },
        stop() { script.schedules = false; push(script, "scheduler", [false]); },
      },
    };
    const utils = { nodeName: () => node, json2Yaml };
    const pcap = onAsk("pcap", "path snapshot nameResolutionHistory");
    const file = onAsk("file", "write append move copy delete mkdir mkdirTemp temp tar");
    file.write = (path, text) => ask(script, "file.write", path, shown(text));
    file.append = (path, text) => ask(script, "file.append", path, shown(text));
    const hub = {
      action: (action, object) => push(script, "hub.action", ["" + action, object === undefined ? null : object]),
      targeted: asking("hub.targeted"),
      blockPod: (pod, namespace) => { ask(script, "allow", "firewall"); push(script, "hub.blockPod", [pod, namespace]); },
    };
    const prometheus = {
      metric: queuing("prometheus.metric"),
      vector(...values) { push(script, "prometheus.vector", values); return "ok"; },
    };
    const vendor = {
      webhook: (method, url, body, headers = {}) => response(ask(script, "vendor.webhook", method, url, body === undefined ? "" : shown(body), headers)),
      webhookForm: (method, url, form, headers = {}) => response(ask(script, "vendor.webhookForm", method, url, form, headers)),
      slackBot: asking("vendor.slackBot"),
      ...onQueue("vendor", "slack influxdb elastic"),
      s3: onAsk("vendor.s3", "put clear"),
      gcs: onAsk("vendor.gcs", "put clear"),
      kinesis: onAsk("vendor.kinesis", "put"),
    };
    for (const name of ["slack", "influxdb", "elastic"]) { // refused at once, done later
      const queueIt = vendor[name];
      vendor[name] = (...values) => { ask(script, "allow", "url", values[0], values[6]); queueIt(...values); };
    }
    const wrapper = { buildHAR, joinMaps, kflPcapS3: (data, options) => kflPcapS3(script, all, data, options) };
    const chatgpt = { prompt: asking("chatgpt.prompt"), sentiment };
    const all = {
      console, test, kfl, jobs, utils, pcap, file, hub, prometheus, vendor, wrapper, chatgpt, joinMaps,
      env: freeze(env), setTimeout: (call, delay, ...values) => addTimer(script, call, delay, values, false),
      setInterval: (call, delay, ...values) => addTimer(script, call, delay, values, true),
      clearTimeout: clearTimer, clearInterval: clearTimer, atob, btoa, TextEncoder, TextDecoder,
    };
    return all;
  }

  // Collects the streams of the entries that match each query; at a limit, an archive of their packets goes to a bucket.
  function kflPcapS3(script, { kfl, pcap, file, vendor, console }, data, given) {
    const options = { active: true, verbose: false, maxMinutes: 60, maxL4Streams: 100000, ...given };
    if (!options.active || !data || !data.stream) return;
    const env = script.env;
    const state = script.collected || (script.collected = new Table());
    const queries = options.kflArr || [];
    for (let index = 0; index < queries.length; index++) {
      let one = mapGet(state, index);
      if (one === undefined) mapSet(state, index, (one = { streams: new Table(), since: now() }));
      if (!mapHas(one.streams, data.stream) && kfl.match(queries[index], data)) {
        mapSet(one.streams, data.stream, true);
        file.append("kfl_progress.log", `${new Date(now()).toISOString()} kfl_${index} stream ${data.stream}\n`);
        if (options.verbose) console.log(`kfl_${index}: stream ${data.stream}`);
      }
      const count = sizeOfMap(one.streams);
      if (!count || (count < options.maxL4Streams && now() - one.since < options.maxMinutes * 60000)) continue;
      mapDelete(state, index);
      const streams = [];
      mapEach(one.streams, (_, stream) => { streams[streams.length] = stream; });
      const time = floor(now() / 1000), folder = `kfl_${index}_kubeshark_${time}_${slice("" + random(), 2, 8)}`;
      file.mkdir(folder);
      const snapshot = pcap.snapshot(streams), name = `${time}.pcap`;
      file.move(snapshot, `${folder}/${name}`);
      file.write(`${folder}/content.json`, stringify({
        kfl_index: index, kfl_query: queries[index], l4_streams: streams, pcap_file_name: name, time,
      }));
      file.write(`${folder}/name_resolution_history.json`, stringify(pcap.nameResolutionHistory()));
      const archive = `kfl_${index}_kubeshark_${time}.tar.gz`;
      file.move(file.tar(folder), archive);
      file.delete(folder);
      const location = vendor.s3.put(
        options.s3Bucket || env.S3_BUCKET, archive, options.awsRegion || env.AWS_REGION,
        options.awsAccessKeyId || env.AWS_ACCESS_KEY_ID, options.awsSecretAccessKey || env.AWS_SECRET_ACCESS_KEY);
      file.append("kfl_progress.log", `${new Date(now()).toISOString()} kfl_${index} ${count} streams ${location}\n`);
      const text = `${count} streams that match ${queries[index]}: ${location}`;
      if (options.slackWebhook) vendor.slack(options.slackWebhook, "Kubeshark", text, "#1f6feb");
      if (options.slackAuthToken) vendor.slackBot(options.slackAuthToken, options.slackChannelId, "Kubeshark", text, "#1f6feb");
    }
  }

  // --- calls from the host ---

  function runHook(script, hook, values) {
    const call = script.hooks[hook];
    if (call === undefined) return undefined;
    try {
      return apply(call, globalThis, values);
    } catch (error) {
      failed(script, hook, error);
      return undefined;
    }
  }

  function queried(script, data, filter) {
    const given = stringify(data);
    const back = runHook(script, "onItemQueried", [data, filter]);
    if (back === null) return null;
    if (typeof back !== "object") return 0;
    const passed = back.passed === true, failed = back.failed === true;
    const before = parse(given);
    back.passed = before.passed;
    back.failed = before.failed;
    const text = stringify(back);
    return { passed, failed, data: text === given ? 0 : back };
  }

  const OPERATIONS = {
    // `code` is run by the host: only there does a syntax error know its place
    define({ id, title, file, env }) {
      const script = {
        id, title, file, env, hooks: {}, jobs: new Table(), errors: 0, complained: new Table(), minute: 0, said: 0,
        dropped: 0, schedules: true, probe: null, before: {},
      };
      mapSet(scripts, id, script);
      script.helpers = helpers(script, env);
      for (const hook of HOOKS) script.before[hook] = globalThis[hook];
      return true;
    },
    loaded({ id }) {
      const script = mapGet(scripts, id);
      const found = script.probe ? script.probe() : {};
      for (const hook of HOOKS) {
        // one that was assigned without var is global: it belongs to who assigned it
        const assigned = globalThis[hook] !== script.before[hook] ? globalThis[hook] : undefined;
        const call = typeof assigned === "function" ? assigned : found[hook];
        if (typeof call === "function" && call !== script.before[hook]) script.hooks[hook] = call;
      }
      return keysOf(script.hooks);
    },
    unload({ id }) {
      mapDelete(scripts, id);
      mapEach(timers, (timer, key) => { if (timer.script.id === id) mapDelete(timers, key); });
      return true;
    },
    packets({ id, items }) {
      const script = mapGet(scripts, id);
      for (let i = 0; i < items.length; i++) {
        const [timestamp, captureLength, length, truncated, fragmented] = items[i];
        runHook(script, "onPacketCaptured", [{ timestamp, captureLength, length, truncated, fragmented }]);
      }
      return items.length;
    },
    items({ id, hook, items, filter }) {
      const script = mapGet(scripts, id);
      const results = [];
      for (let i = 0; i < items.length; i++) {
        const data = withAliases(items[i], 2);
        weakSet(places, data, i);
        if (hook === "onItemQueried") results[i] = queried(script, data, filter);
        else runHook(script, hook, [data]);
      }
      return results;
    },
    event({ id, hook, values }) {
      const script = mapGet(scripts, id);
      if (hook === "onPodEvent") withAliases(values[1], 2);
      runHook(script, hook, values);
      return true;
    },
    job({ id, tag }) {
      const script = mapGet(scripts, id);
      runJob(script, tag);
      return true;
    },
    forget({ id, tag }) { // a job that was removed on another node
      const script = mapGet(scripts, id);
      if (tag === null) script.helpers.jobs.list().forEach((each) => removeJob(script, each));
      else removeJob(script, tag);
      return true;
    },
    tick() {
      runTimers();
      return true;
    },
  };

  return freeze({
    open(inputBuffer, flagBuffer, questionBuffer, name) {
      input = new Uint8Array(inputBuffer);
      flags = new Int32Array(flagBuffer);
      question = new Uint8Array(questionBuffer);
      node = name;
    },
    enter: (id, probe) => { mapGet(scripts, id).probe = probe; },
    helpers: (id) => mapGet(scripts, id).helpers,
    call(length) {
      const request = parse(readInput(length));
      const result = OPERATIONS[request.do](request);
      __result = result;
      return 0;
    },
    take() { // apart from `call`, so that what promises did is in it
      const errors = {};
      mapEach(scripts, (script, id) => { errors[id] = script.errors; script.errors = 0; });
      let commands = "";
      for (let i = 0; i < queue.length; i++) commands += (i ? "," : "") + queue[i];
      const text = `{"result":${stringify(__result === undefined ? null : __result)},"commands":[${commands}],` +
        `"timer":${stringify(nextTimer())},"errors":${stringify(errors)}}`;
      queue = [];
      queued = 0;
      __result = null;
      return text;
    },
  });
})();
let __result = null;
