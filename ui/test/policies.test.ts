import { describe, expect, it } from "vitest";
import { denial } from "../src/core/policies";

const side = (ip: string, port: string) => ({ ip, port, name: "" });
const net = (transport: string) => ({ transport, retransmissions: 0, outOfOrder: 0, gaps: 0, rttUs: 0 });

describe("a denial", () => {
  it("is of both ends and the server's port, and begins as Audit", () => {
    const text = denial({ src: side("10.0.0.1", "5000"), dst: side("10.0.0.2", "80"), networkProps: net("tcp") });
    for (const each of ["name: deny-10-0-0-2-80}", "mode: Audit", 'from: [{networks: ["10.0.0.1/32"]}]', 'to: [{networks: ["10.0.0.2/32"]}]', "tcp: {destinationPort: {number: 80}}"]) expect(text).toContain(each);
    expect(text).not.toContain("5000");
    expect(denial({ src: side("fd00::1", "5"), dst: side("::1", "53"), networkProps: net("udp") })).toContain('"fd00::1/128"');
  });
  it("is not made of what is no address, no port, no transport with ports", () => {
    const src = side("10.0.0.1", "5000");
    expect(denial({ src: side('1"]}] # ', "1"), dst: side("10.0.0.2", "80"), networkProps: net("tcp") })).toBe("");
    for (const port of ["0", "", "70000", "80}"]) expect(denial({ src, dst: side("10.0.0.2", port), networkProps: net("tcp") })).toBe("");
    expect(denial({ src, dst: side("10.0.0.2", "80"), networkProps: net("icmp") })).toBe("");
    expect(denial({ src, dst: side("10.0.0.2", "80") })).toBe("");
  });
});
