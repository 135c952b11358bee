let settings = null;

kubeshark.plugin({
  packetFilter: ({ bytes, length, linkType }) =>
    linkType !== 1 || bytes.length > length ? "drop" : bytes[0] === 0xdd ? "drop" : bytes[0] === 0xaa ? "mark" : "keep",
  segmentSealed(segment, out) {
    out.log(`sealed ${segment.name} of ${segment.source}: ${segment.packets} packets, ${segment.storedBytes} bytes`);
    if (segment.packets === 13) out.refuse("bad luck");
  },
  enrich(out, method, url, body, document) {
    if (method === "DELETE") return out.drop();
    if (method === "LOOP") for (;;);
    if (method === "INDEX") out.redact("src.ip");
    out.tag("seen");
    out.set("witness_length", url.length);
    out.set("witness_word", settings.loud ? settings.word : "");
    out.set("witness_seen", document.includes('"protocol"') && body !== "unseen");
    out.redact('request.headers["authorization"]');
    out.redact("request.postData.text.user.password", "[gone]");
    out.redactText(settings.word);
  },
  filters: { witness_is: ([wanted], method) => wanted === method },
  summarize: (method, url, status) =>
    method === "" ? null : {
      method, methodQuery: kubeshark.equals("method", method),
      summary: url, summaryQuery: kubeshark.equals("url", url),
      status, statusQuery: kubeshark.equals("status_code", status),
    },
  jobs: {
    idle() {},
    tick(due, out) {
      out.log(`tick ${due}`);
      if (due === 13n) out.refuse("not today");
    },
  },
  configure(values, out) {
    settings = values;
    if (values.word === "refuse") out.refuse("that word is taken");
    out.log(`word ${values.word}, limit ${values.limit}`);
  },
  start: (out) => out.log("started"),
  stop: (out) => out.log("stopped"),
});
