/**
 * What a kubeshark plugin written in JavaScript sees. The script runs once, calls `kubeshark.plugin` once, and is then
 * called in batches, in a sandbox: no files, network, modules or TextDecoder; timers never fire, console prints nowhere.
 *
 * Keep no state between calls: after a failure the script starts anew, and streams come in any order. An exception
 * fails the item that caused it. Field and filter names are those of plugin.toml.
 */
declare namespace kubeshark {
  /** Name the plugin's callbacks: those of plugin.toml's `hooks`, no more and no less. */
  function plugin(callbacks: Callbacks): void;

  // made by scripts/generate_sdk.py: begin hooks
  interface Callbacks {
    /**
     * Keep, drop or mark packets before they are stored: one verdict a packet.
     *
     * An import never waits for it: where it fails, or takes longer than its budget (limits.batch_ms, at most 100 ms a
     * batch), the batch is stored as it is and counted as not filtered. What it drops is gone.
     */
    packetFilter?(packet: Packet): "keep" | "drop" | "mark";
    /**
     * A segment is complete on disk: upload it, notify someone. Gets metadata, never packets or keys.
     *
     * Runs beside the import, one segment after the other, in the order in which they were sealed.
     */
    segmentSealed?(segment: Segment, out: Report): void;
    /**
     * Say whether streams carry this plugin's protocol.
     *
     * Asked after the declarative classifiers, in order of the protocols' priority, with at most PROBE_BYTES of each
     * side. The first MINE wins; NEED_MORE is asked again when there is more, and counts as NOT_MINE at the end.
     *
     * Sees at most the first 512 bytes of one side. "more" asks again with more.
     */
    probe?(item: Item): boolean | "more";
    /**
     * Turn streams into messages, one list a stream, each in order of first byte per direction.
     *
     * Bytes that make no sense spoil one message, never its neighbours: resynchronise, set Message.error, go on. Python
     * plugins may put a `Handover` among the messages of a stream: it passes bytes on to another protocol.
     *
     * Report the messages that are complete in `item.bytes` and return how many bytes they took. The rest comes
     * again with more behind it, until `item.last`: then nothing more comes, and what is left is lost or truncated.
     */
    dissect?(item: Item, out: Output): number;
    /**
     * Annotate, redact, tag or drop entries: one `Enrichment` an entry, or None to leave it as it is.
     *
     * Runs behind dissection, when ids are fixed, and before any filter sees the entry: a filter cannot find out what was
     * redacted. Plugins run in order of their priority, each on what the one before left. An entry that a plugin fails on
     * is shown without its content (EnrichSpec.on_failure), and counted. Addresses, ports, times and protocol flags are
     * what the index answers: they cannot be redacted.
     *
     * `reads`: the variables that [enrich] of plugin.toml names, in order.
     */
    enrich?(out: Enrichment, ...reads: any[]): void;
    /**
     * Decide entries for a KFL call such as `is_bot()`. Called in batches, after every cheaper term.
     *
     * Returns true, false, or None for an evaluation error, one an entry.
     *
     * One function for each filter: the call's arguments, then the variables that the filter `reads`, in order.
     */
    filters?: Record<string, (arguments: any[], ...reads: any[]) => boolean>;
    /**
     * Give the cells of an entry's row, each with the KFL that selects it (entries.md §5); None: not mine.
     *
     * `reads`: the variables that [summarize] of plugin.toml names, in order.
     */
    summarize?(...reads: any[]): Cells | null;
    /**
     * Give an entry's representation, or None (or a priority below 0) where it is not yours.
     *
     * Its sections are of these types: `table` (rows), `body` and `code` (text), `hex` (bytes, and ranges that say what
     * they are), `image` (png, jpeg, gif, webp), `timeline` (points in microseconds from the start).
     *
     * From the bytes of both halves, and when each began; a missing one is empty.
     */
    render?(request: Item, response: Item): Representation | null;
    /**
     * Run a job, now. Long-lived processes (`serve`) call it by its schedule; `kubeshark plugin run-job` at once.
     *
     * A run that is due while the one before goes on is skipped and counted; what was due while nobody ran is not made up.
     *
     * One function for each job; `due` is when it should have begun, in nanoseconds since 1970.
     */
    jobs?: Record<string, (due: bigint, out: Report) => void>;
    /**
     * Take the settings, before `start`; out.refuse refuses them, which keeps the plugin from running.
     *
     * Every declared setting is there, of its declared type: the user's value, or the default.
     */
    configure?(settings: Record<string, any>, out: Report): void;
    /**
     * The plugin will be used: once in each process that runs it, behind `configure`, before everything else.
     */
    start?(out: Report): void;
    /**
     * The plugin will not be used any more. Has one second; a process that crashed gets none.
     */
    stop?(out: Report): void;
  }
  // made by scripts/generate_sdk.py: end hooks

  /** A piece of one side of a stream, or one datagram. */
  interface Item {
    /** Of its bytes. */
    readonly length: number;
    /** A view, valid during the call. */
    readonly bytes: Uint8Array;
    /** The same for both sides. */
    readonly stream: number;
    readonly direction: "client" | "server";
    /** IP protocol number: 6 TCP, 17 UDP, 132 SCTP. */
    readonly transport: number;
    readonly clientPort: number;
    readonly serverPort: number;
    /** Of the packet that carried the first byte, in nanoseconds since 1970. */
    readonly time: bigint;
    /** Offset of bytes[0] in its side of the stream. */
    readonly base: number;
    /** `bytes` begins its side of the stream. */
    readonly first: boolean;
    /** Nothing comes after `bytes`. */
    readonly last: boolean;
    /** Bytes are missing just before: `bytes` need not begin a message. */
    readonly gap: boolean;
    /** The packet was captured shorter than it was. */
    readonly cut: boolean;
    /** Where `byte` first lies in bytes[start..end), -1 if it does not: much faster than bytes.indexOf. */
    find(byte: number, start?: number, end?: number): number;
    /** bytes[offset], undefined outside of them: faster than `bytes` where only a few are looked at. */
    at(offset: number): number | undefined;
    /** bytes[start..end) is this ASCII text, which must be lower case; theirs does not matter. */
    equals(start: number, end: number, text: string): boolean;
    /** The number in bytes[start..end): 1 to 15 digits and nothing else, else undefined. */
    decimal(start: number, end: number): number | undefined;
    /** Text of bytes[start..end) as UTF-8; what is not UTF-8 becomes U+FFFD. */
    text(start?: number, end?: number): string;
    /** Text of bytes[start..end), one character a byte: the fast way where the protocol is ASCII. */
    latin1(start?: number, end?: number): string;
    /** A field's value that is bytes[start..end): nothing is decoded or copied here. */
    span(start: number, end: number): Span;
  }

  interface Span {
    readonly start: number;
    readonly end: number;
  }

  interface Output {
    message(message: Message): void;
  }

  interface Message {
    kind: "request" | "response" | "event";
    /** Where it lies in the item's bytes. */
    start: number;
    end: number;
    /** Pairs a request with the response of the same key; without one they pair in order. */
    key?: number | string;
    /** By field name; undefined and null are left out. Types as plugin.toml declares them. */
    fields?: Record<string, string | number | bigint | boolean | Uint8Array | Span | string[] | Record<string, string> | null | undefined>;
    /** A request that has no response by design. */
    oneWay?: boolean;
    /** A response after which another one follows. */
    interim?: boolean;
    /** What is wrong with it: "truncated: …", "malformed: …". */
    error?: string;
  }

  interface Packet {
    /** From the link layer on; a view, valid during the call. */
    readonly bytes: Uint8Array;
    /** Nanoseconds since 1970. */
    readonly time: bigint;
    /** On the wire; `bytes` may be fewer. */
    readonly length: number;
    /** LINKTYPE_* of the tcpdump.org registry: 1 is Ethernet. */
    readonly linkType: number;
  }

  /** A segment on disk. Its file is encrypted; the key to it is never given to a plugin. */
  interface Segment {
    name: string;
    path: string;
    firstNs: number | bigint;
    lastNs: number | bigint;
    packets: number;
    flows: number;
    bytes: number;
    storedBytes: number;
    linkType: number;
    source: string;
  }

  interface Enrichment {
    /** No query shows the entry; its packets stay in the store. */
    drop(): void;
    /** For the KFL variable `tags`. */
    tag(...tags: string[]): void;
    /** Set a variable of [[enrich.variables]]. */
    set(variable: string, value: string | number | boolean | string[] | Record<string, string>): void;
    /**
     * Redact a KFL variable, a key of a map (`request.headers["cookie"]`), or a place in the JSON entry, also inside
     * a body that is JSON (`request.postData.text.user.password`; `*` is every item of a list).
     */
    redact(path: string, shown?: string): void;
    /** Redact a text wherever it occurs in the entry. */
    redactText(text: string, shown?: string): void;
  }

  interface Report {
    /** Say why it cannot be done: settings are refused, a job failed. */
    refuse(reason: string): void;
    /** A line for the plugin's log. */
    log(line: string): void;
  }

  /** The cells of a row, each with the KFL that selects it: see `kubeshark.equals`. */
  interface Cells {
    method?: string;
    methodQuery?: string;
    summary?: string;
    summaryQuery?: string;
    status?: number;
    statusQuery?: string;
  }

  // made by scripts/generate_sdk.py: begin services
  /** Ask a web server. Headers are lines `Name: value`. Redirects are followed to granted hosts only. */
  function http(request: HttpRequest): HttpResponse;
  /** Return the bytes of a file. */
  function fileRead(path: string): Uint8Array;
  /** Write a file; one that is there is replaced. */
  function fileWrite(path: string, data: string | Uint8Array): void;
  /** Add to the end of a file; made if it is not there. */
  function fileAppend(path: string, data: string | Uint8Array): void;
  /** Return a folder's files and folders by name: name, kind, bytes. */
  function fileList(path: string): FileEntry[];
  /** Delete a file, or a folder with all in it. */
  function fileDelete(path: string): void;
  /** Make a folder and those above it; one that is there is fine. */
  function fileMakeFolder(path: string): void;
  /** Rename a file or folder. */
  function fileMove(source: string, target: string): void;
  // made by scripts/generate_sdk.py: end services

  interface HttpRequest {
    url: string;
    /** GET unless it is given. */
    method?: string;
    headers?: Record<string, string>;
    body?: string | Uint8Array;
  }

  interface HttpResponse {
    status: number;
    statusText: string;
    /** Where the answer came from, behind redirects. */
    url: string;
    /** By name in lower case. */
    headers: Record<string, string>;
    bytes: Uint8Array;
    /** The bytes as UTF-8. */
    text(): string;
  }

  interface FileEntry {
    name: string;
    kind: "file" | "folder" | "other";
    size: number;
  }

  /** What the functions that ask for something throw: not granted, or it could not be done. */
  class ServiceError extends Error {
    readonly status: "refused" | "failed" | "late" | "invalid";
  }

  /** The KFL `variable == value`, with the value as a literal. */
  function equals(variable: string, value: string | number | boolean): string;

  /** Throw it in a filter to mark the entry as not decided. */
  class FilterError extends Error {}

  interface Representation {
    /** The renderer with the highest priority wins; below 0 means "not mine". */
    priority: number;
    request?: Section[];
    response?: Section[];
  }

  /** Text from the network is shown as text, never as markup. */
  interface Section {
    type: "table" | "body" | "code" | "hex" | "image" | "timeline";
    title: string;
    tableData?: { name: string; value: string | number | boolean | null; selector: string }[];
    body?: string;
    encoding?: "" | "base64";
    mimeType?: string;
    /** The left side of `selector == value` in KFL. */
    selector?: string;
    /** Of a timeline: `t` is microseconds from its start. */
    points?: { t: number; label: string; direction?: "client" | "server" | "" }[];
    /** Of a hex dump: what its bytes are. Rows with the same selector are linked to them. */
    ranges?: { start: number; end: number; name: string; selector?: string }[];
  }
}
