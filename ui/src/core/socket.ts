/**
 * The WebSocket to the hub: queries, batches, acknowledgements (docs/hub-api.md, "The WebSocket").
 *
 * One query runs at a time. A lost connection does not lose it: it goes on behind the last batch that arrived. Whoever is
 * signed out is not connected again.
 */

import { url } from "./api";
import { BadBatch, type Batch, Dictionaries, batchQuery, decodeBatch } from "./batches";
import { isTooLong } from "./kfl";
import { texts } from "../text/core";
import type { WorkerState } from "./types";

export interface QueryRequest {
  readonly kfl: string;
  readonly limit: number;
  readonly order: "oldest" | "newest";
  readonly since: string | null;
  readonly until: string | null;
  readonly cursor: string | null;
  readonly columns: readonly string[];
  readonly live: boolean; // go on with what comes, once everything that is stored was sent
}

export interface Done {
  readonly rows: number;
  readonly cursor: string | null;
  readonly stopped?: string;
  readonly problems: readonly string[];
  readonly seconds: number;
  readonly bytes_read: number;
}

export interface Live extends Done {
  readonly dropped: { readonly segments: number; readonly packets: number; readonly connections: number };
}

export interface Progress {
  readonly bytes_read: number;
  readonly bytes_total: number;
  readonly rows: number;
}

export interface QueryEvents {
  queued(ahead: number): void;
  progress(progress: Progress): void;
  batch(batch: Batch): void;
  live(live: Live): void;
  done(done: Done): void;
  failed(message: string, column: number): void;
}

export type Link = "connecting" | "open" | "lost" | "out"; // out: the hub knows one no more

/** What of a WebSocket is used here: tests bring their own. */
export interface Wire {
  binaryType: string;
  onopen: (() => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  send(text: string): void;
  close(): void;
}

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;
const TOO_BIG = 1009; // RFC 6455 §7.4.1
export const SIGNED_OUT = 4401; // the hub's own

interface Running {
  id: number;
  request: QueryRequest;
  events: QueryEvents;
  known: Dictionaries;
  cursor: string | null;
  rows: number;
  isLive: boolean;
}

export class HubSocket {
  private wire: Wire | null = null;
  private isOpen = false;
  private running: Running | null = null;
  private nextId = 1;
  private wait = FIRST_WAIT_MS;
  private closed = false;
  private isOut = false;

  constructor(
    private readonly connect: () => Wire,
    private readonly link: (link: Link) => void,
    private readonly workers: (workers: readonly WorkerState[]) => void = () => undefined,
    private readonly isKnown: () => Promise<boolean> = () => Promise.resolve(true),
  ) {
    this.open();
  }

  /** Run a query in place of the one that runs. */
  query(request: QueryRequest, events: QueryEvents): void {
    this.cancel();
    if (this.isOut) return events.failed(texts.signedOut, 0);
    if (isTooLong(request.kfl)) return events.failed(texts.filterTooLong, 0);
    this.running = { id: this.nextId++, request, events, known: new Dictionaries(), cursor: request.cursor, rows: 0, isLive: false };
    this.start();
  }

  /** End the running query; what it found stays. Events of it no longer come. */
  cancel(): void {
    if (this.running && this.isOpen) this.send({ op: "cancel", id: this.running.id });
    this.running = null;
  }

  /** Ask the hub to stop the running query; its `done` still comes. */
  stop(): void {
    if (this.running && this.isOpen) this.send({ op: "cancel", id: this.running.id });
  }

  close(): void {
    this.closed = true;
    this.wire?.close();
  }

  private open(): void {
    if (this.closed) return;
    this.link("connecting");
    const wire = this.connect();
    wire.binaryType = "arraybuffer";
    wire.onopen = () => {
      this.isOpen = true;
      this.link("open");
      this.workers([]); // a hub says how they fare once it knows some
      this.start();
    };
    wire.onclose = ({ code }) => {
      if (this.wire !== wire) return;
      const wasOpen = this.isOpen;
      this.isOpen = false;
      if (this.closed) return;
      if (code === SIGNED_OUT) return this.signOut();
      if (code === TOO_BIG) this.fail(texts.filterTooLong); // sent again, it would end the next connection
      // A browser tells no page why a handshake was refused.
      if (!wasOpen) void this.isKnown().then((isKnown) => { if (!isKnown) this.signOut(); });
      this.link("lost");
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
    };
    wire.onmessage = ({ data }) => (typeof data === "string" ? this.text(data) : this.binary(data as ArrayBuffer));
    this.wire = wire;
  }

  private signOut(): void {
    this.isOut = true;
    this.close();
    this.link("out");
    this.fail(texts.signedOut);
  }

  private fail(message: string): void {
    const { running } = this;
    this.running = null;
    running?.events.failed(message, 0);
  }

  private start(): void {
    const { running } = this;
    if (!running || !this.isOpen) return;
    // A new connection numbers batches anew and knows no dictionary of the old one: a new id, a new set.
    running.id = this.nextId++;
    running.known = new Dictionaries();
    const { request, cursor, rows, isLive } = running;
    const limit = isLive ? request.limit : request.limit - rows; // what comes live has no end
    this.send({ op: "query", id: running.id, ...request, limit, cursor });
  }

  private send(message: object): void {
    this.wire?.send(JSON.stringify(message));
  }

  private binary(data: ArrayBuffer): void {
    const { running } = this;
    try {
      if (!running || batchQuery(data) !== running.id) return;
      this.wait = FIRST_WAIT_MS;
      const batch = decodeBatch(data, running.known);
      running.rows += batch.count;
      if (batch.cursor) running.cursor = batch.cursor;
      running.events.batch(batch);
      this.send({ op: "ack", id: running.id, batch: batch.batch });
    } catch (error) {
      if (!(error instanceof BadBatch)) throw error;
      this.cancel();
      running?.events.failed(texts.badBatch(error.message), 0);
    }
  }

  private text(text: string): void {
    const { running } = this;
    const message = JSON.parse(text) as { op: string; id: number | null } & Record<string, unknown>;
    if (message.op === "workers") return this.workers(message["workers"] as readonly WorkerState[]);
    if (!running || (message.id !== running.id && message.id !== null)) return;
    this.wait = FIRST_WAIT_MS; // what is open and answers nothing may be lost at once again
    switch (message.op) {
      case "queued":
        running.events.queued(Number(message["ahead"]));
        break;
      case "progress":
        running.events.progress(message as unknown as Progress);
        break;
      case "live":
        running.isLive = true;
        running.events.live(message as unknown as Live);
        break;
      case "done":
        this.running = null;
        running.events.done({ ...(message as unknown as Done), cursor: (message["cursor"] as string | null) ?? running.cursor });
        break;
      case "error":
        this.running = null;
        running.events.failed(String(message["message"]), Number(message["column"] ?? 0));
        break;
    }
  }
}

export function hubWire(): Wire {
  const at = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${url("ws")}`;
  return new WebSocket(at, "kubeshark.v1") as unknown as Wire;
}
