/** The query whose rows are shown: runs it, goes on with it, and says in words how it stands. */

import { computed, signal } from "@preact/signals";
import { api } from "./api";
import type { Batch } from "./batches";
import { Rows } from "./rows";
import { type Done, HubSocket, type Link, type QueryRequest, type Wire, hubWire } from "./socket";
import { texts } from "../text/core";
import type { WorkerState } from "./types";

export const LIMIT = 1_000_000;
export const WINDOW = 1_200_000; // rows kept: beyond it the oldest go
const LOOK_MS = 2_000;
const TELL_MS = 100;
export const BASE_COLUMNS = ["timestamp", "protocol", "method", "status", "src", "dst", "summary", "elapsed", "size", "error"];

export type Phase = "connecting" | "queued" | "running" | "done" | "cancelled" | "limit" | "partial" | "failed";

export interface Standing {
  readonly phase: Phase;
  readonly ahead: number;
  readonly read: number;
  readonly total: number;
  readonly seconds: number;
  readonly problems: readonly string[];
  readonly error: string;
  readonly column: number;
  readonly isLive: boolean; // new entries come as they are complete
  readonly isOld: boolean; // it failed, and the rows are of the query before
}

const BEGIN: Standing = { phase: "connecting", ahead: 0, read: 0, total: 0, seconds: 0, problems: [], error: "", column: 0, isLive: false, isOld: false };

export interface Listeners {
  reset(): void;
  grown(): void;
  trimmed(gone: number): void;
}

export class Traffic {
  readonly rows = new Rows();
  readonly standing = signal<Standing>(BEGIN);
  readonly count = signal(0);
  readonly shown = signal(""); // the filter whose rows these are: the old ones stay until the new query has an answer
  readonly link = signal<Link>("connecting");
  readonly following = signal(false);
  readonly unseen = signal(0); // rows below that were not there when one looked last
  readonly trimmedRows = signal(0);
  readonly isRunning = computed(() => ["connecting", "queued", "running"].includes(this.standing.value.phase));
  readonly workers = signal<readonly WorkerState[]>([]);
  readonly hasNew = signal(false); // newest first: the store has grown since
  listeners: Listeners | null = null;

  private readonly socket: HubSocket;
  private request: QueryRequest | null = null;
  private cursor: string | null = null;
  private isFirstBatch = true;
  private isLive = false; // what is stored is here: rows are of what comes
  private packets = -1;
  private timer = 0;
  private newRows = 0;
  private telling = 0;

  constructor(connect: () => Wire = hubWire) {
    this.socket = new HubSocket(connect, (link) => (this.link.value = link), (workers) => (this.workers.value = workers), api.isKnown);
  }

  run(kfl: string, since: string, until: string, order: "oldest" | "newest", columns: readonly string[]): void {
    const wanted = [...new Set([...BASE_COLUMNS, ...columns])];
    const live = order === "oldest" && !until;
    this.request = { kfl, limit: LIMIT, order, since: since || null, until: until || null, cursor: null, columns: wanted, live };
    this.isFirstBatch = true;
    this.cursor = null;
    this.unseen.value = 0;
    this.hasNew.value = false;
    this.standing.value = { ...BEGIN, phase: "running" };
    this.start(null);
  }

  rerun(): void {
    const { request } = this;
    if (request) this.run(request.kfl, request.since ?? "", request.until ?? "", request.order, request.columns);
  }

  /** Go on behind the last row: after a limit, a budget, a cancel. */
  more(): void {
    if (!this.request || this.isRunning.value) return;
    this.start(this.cursor);
  }

  stop(): void {
    this.socket.stop();
  }

  seen(atEnd: boolean): void {
    if (atEnd) this.newRows = 0;
    if (atEnd && this.unseen.value) this.unseen.value = 0;
  }

  close(): void {
    clearTimeout(this.timer);
    this.socket.close();
  }

  private start(cursor: string | null): void {
    const { request } = this;
    if (!request) return;
    clearTimeout(this.timer);
    const isAppending = cursor !== null;
    this.isLive = false;
    this.patch({ phase: "running", error: "", column: 0, isLive: false, isOld: false });
    this.socket.query({ ...request, cursor }, {
      queued: (ahead) => { if (!this.isLive) this.patch({ phase: "queued", ahead }); }, // what is shown is whole meanwhile
      progress: ({ bytes_read, bytes_total }) => this.patch({ phase: "running", read: bytes_read, total: bytes_total }),
      batch: (batch) => this.take(batch, isAppending || this.isLive),
      live: (live) => {
        const { segments, packets, connections } = live.dropped;
        const passed = segments || connections ? [texts.passedOver(packets, connections)] : [];
        const seconds = this.isLive ? this.standing.peek().seconds : live.seconds;
        this.isLive = true;
        this.end(live, "done", isAppending, seconds, [...live.problems, ...passed]);
        this.patch({ isLive: true });
      },
      done: (done) => {
        const { stopped = "" } = done;
        const phase: Phase = stopped === "" ? "done" : stopped === "cancelled" || stopped === "limit" ? stopped : "partial";
        this.end(done, phase, isAppending, done.seconds, done.problems);
        if (phase === "done") this.watch();
      },
      failed: (error, column) => {
        this.tell();
        this.patch({ phase: "failed", error, column, isLive: false, isOld: this.isFirstBatch && this.rows.count > 0 });
      },
    });
  }

  /** What is stored was read, as far as it will be. */
  private end(done: Done, phase: Phase, isAppending: boolean, seconds: number, problems: readonly string[]): void {
    // The old list stays until there is something new to show, or until it is known that there is nothing.
    if (this.isFirstBatch && !isAppending) this.clear();
    if (done.cursor) this.cursor = done.cursor;
    this.tell();
    this.patch({ phase, read: done.bytes_read, seconds, problems });
  }

  private patch(change: Partial<Standing>): void {
    this.standing.value = { ...this.standing.peek(), ...change };
  }

  private clear(): void {
    this.isFirstBatch = false;
    this.shown.value = this.request?.kfl ?? "";
    this.rows.clear();
    this.newRows = 0;
    this.count.value = 0;
    this.trimmedRows.value = 0;
    this.listeners?.reset();
  }

  private take(batch: Batch, isAppending: boolean): void {
    if (this.isFirstBatch) this.clear();
    if (batch.cursor) this.cursor = batch.cursor;
    this.rows.add(batch);
    const gone = this.rows.trim(WINDOW);
    if (gone) {
      this.trimmedRows.value += gone;
      this.listeners?.trimmed(gone);
    }
    if (isAppending && !this.following.value) this.newRows += batch.count; // the list says it if they are seen at once
    if (!this.count.value) this.tell();
    else this.telling ||= window.setTimeout(() => this.tell(), TELL_MS);
    this.listeners?.grown();
  }

  /** Numbers change ten times a second: nobody reads faster, and a following list has better things to do in a frame. */
  private tell(): void {
    clearTimeout(this.telling);
    this.telling = 0;
    this.count.value = this.rows.count;
    if (this.newRows) this.unseen.value += this.newRows;
    this.newRows = 0;
  }

  /** Look whether the store has grown: newest first, where rows cannot come at the end, this is said and no more. */
  private watch(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.look(), LOOK_MS);
  }

  private async look(): Promise<void> {
    const { request } = this;
    if (!request || this.isRunning.value) return;
    try {
      const packets = document.hidden ? this.packets : (await api.info()).packets;
      const isGrown = this.packets >= 0 && packets > this.packets;
      this.packets = packets;
      if (isGrown && !request.until && !this.isRunning.value) this.hasNew.value = true;
    } catch {
      // the link says that the hub is away
    }
    this.watch();
  }
}
