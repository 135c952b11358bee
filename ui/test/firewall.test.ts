import { describe, expect, it } from "vitest";
import { MOST_SHOWN, NO_EVENTS, came, counted, paused } from "../src/core/firewall";
import type { FirewallEvent, FirewallNodeStatus } from "../src/core/types";

const event = (srcPort: number): FirewallEvent => ({ time: 1, node: "n", subject: "host", policy: "p", rule: "r", verdict: "deny", direction: "ingress", src: "10.0.0.1", dst: "10.0.0.2", srcPort, dstPort: 80 });
const ports = (events: readonly FirewallEvent[]): readonly (number | null)[] => events.map((each) => each.srcPort);

describe("counters", () => {
  it("are summed over nodes and targets, each rule once", () => {
    const rule = { policy: "p", rule: "r", direction: "ingress", action: "deny", packets: 2, bytes: 100 };
    const target = { name: "host", hooks: {}, notEnforced: {}, events: 0, lost: 0, rules: [rule, { ...rule, direction: "egress" }] };
    const node: FirewallNodeStatus = { node: "n", url: "u", state: "enforced", why: "", generation: 1, ms: 1, restarts: 0, targets: [target, target] };
    expect(counted([node, node]).map(({ direction, packets, bytes }) => [direction, packets, bytes])).toEqual([["ingress", 8, 400], ["egress", 8, 400]]);
    expect(counted([])).toEqual([]);
  });
});

describe("events", () => {
  it("show the newest first, and not without end", () => {
    const feed = came(came(NO_EVENTS, [event(1), event(2)], 0), [event(3)], 4);
    expect([ports(feed.events), feed.lost]).toEqual([[3, 2, 1], 4]);
    const many = came(NO_EVENTS, Array.from({ length: MOST_SHOWN + 50 }, (_, i) => event(i)), 0);
    expect([many.events.length, many.events[0]?.srcPort]).toEqual([MOST_SHOWN, MOST_SHOWN + 49]);
  });
  it("wait while paused, and what had no room is counted", () => {
    const feed = came(paused(came(NO_EVENTS, [event(1)], 0), true), [event(2)], 1);
    expect([ports(feed.events), ports(feed.held), feed.lost]).toEqual([[1], [2], 1]);
    expect(came(feed, Array.from({ length: MOST_SHOWN }, (_, i) => event(i)), 1).dropped).toBe(1);
    const on = paused(feed, false);
    expect([ports(on.events), on.held, on.dropped]).toEqual([[2, 1], [], 0]);
  });
});
