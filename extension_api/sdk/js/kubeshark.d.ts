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

  interface Callbacks {
    /** Say whether a stream is yours; sees at most the first 512 bytes of one side. "more" asks again with more. */
    probe?(item: Item): boolean | "more";
    /**
     * Report the messages that are complete in `item.bytes` and return how many bytes they took. The rest comes again
     * with more behind it, until `item.last`: then nothing more comes, and what is left is lost or truncated. Bytes
     * that make no sense spoil one message: give it an `error` and go on.
     */
    dissect?(item: Item, out: Output): number;
    /** One function for each filter: the call's arguments, then the variables that the filter `reads`, in order. */
    filters?: Record<string, (arguments: any[], ...reads: any[]) => boolean>;
    /** Build what the detail view shows, from the bytes of both halves (a missing one is empty); null: not mine. */
    render?(request: Item, response: Item): Representation | null;
  }

  /** A piece of one side of a stream, or one datagram. */
  interface Item {
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
  }
}
