/** What the firewalls of all nodes say, summed up; and their events, as they come. */

import { api, url } from "./api";
import { SIGNED_OUT } from "./socket";
import { texts } from "../text/core";
import type { FirewallEvent, FirewallNodeStatus, FirewallRule } from "./types";

/** Return each rule once, with what it counted on all nodes. */
export function counted(nodes: readonly FirewallNodeStatus[]): readonly FirewallRule[] {
  const sums = new Map<string, FirewallRule>();
  for (const node of nodes)
    for (const target of node.targets)
      for (const rule of target.rules) {
        const key = JSON.stringify([rule.policy, rule.rule, rule.direction, rule.action]);
        const sum = sums.get(key);
        sums.set(key, sum ? { ...sum, packets: sum.packets + rule.packets, bytes: sum.bytes + rule.bytes } : rule);
      }
  return [...sums.values()];
}

export interface Feed {
  readonly events: readonly FirewallEvent[]; // the newest first
  readonly lost: number; // that the hub or a node had no room for
  readonly isPaused: boolean;
  readonly held: readonly FirewallEvent[]; // came while paused, the newest first
  readonly dropped: number; // came while paused, and there were too many
}

export const NO_EVENTS: Feed = { events: [], lost: 0, isPaused: false, held: [], dropped: 0 };
export const MOST_SHOWN = 200;

export function came(feed: Feed, events: readonly FirewallEvent[], lost: number): Feed {
  const newest = [...events].reverse();
  if (!feed.isPaused) return { ...feed, lost, events: [...newest, ...feed.events].slice(0, MOST_SHOWN) };
  const held = [...newest, ...feed.held];
  return { ...feed, lost, held: held.slice(0, MOST_SHOWN), dropped: feed.dropped + Math.max(0, held.length - MOST_SHOWN) };
}

export function paused(feed: Feed, isPaused: boolean): Feed {
  if (isPaused) return { ...feed, isPaused };
  return { ...feed, isPaused, events: [...feed.held, ...feed.events].slice(0, MOST_SHOWN), held: [], dropped: 0 };
}

const AGAIN_MS = 2_000;

/** Listen until the returned function is called; a filter that cannot be read or the end of the session ends it, a lost connection does not. */
export function listen(kfl: string, take: (events: readonly FirewallEvent[], lost: number) => void, failed: (message: string) => void, link: (isOpen: boolean) => void): () => void {
  const at = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${url("firewall/events", { kfl })}`;
  let wire: WebSocket | null = null;
  let timer = 0;
  let isOver = false;
  const end = (message: string): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    failed(message);
  };
  const open = (): void => {
    let wasOpen = false;
    wire = new WebSocket(at);
    wire.onopen = () => link((wasOpen = true));
    wire.onmessage = ({ data }) => {
      const message = JSON.parse(String(data)) as { op: string; message?: string; events?: readonly FirewallEvent[]; lost?: number };
      if (message.op === "events") return take(message.events ?? [], message.lost ?? 0);
      end(message.message ?? "");
    };
    wire.onclose = ({ code }) => {
      link(false);
      if (isOver) return;
      if (code === SIGNED_OUT) return end(texts.signedOut);
      if (!wasOpen) void api.isKnown().then((isKnown) => { if (!isKnown) end(texts.signedOut); });
      timer = window.setTimeout(open, AGAIN_MS);
    };
  };
  open();
  return () => {
    isOver = true;
    clearTimeout(timer);
    if (wire) wire.onmessage = wire.onclose = wire.onopen = null;
    wire?.close();
  };
}
