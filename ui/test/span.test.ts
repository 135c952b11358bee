import { describe, expect, it } from "vitest";
import { fromInput, halves, nanoseconds, panned, precedes, toInput, widened } from "../src/core/span";

describe("a window of time", () => {
  const span = { since: "1795440760000000000", until: "1795440760000000100" };
  it("moves by its half, to the nanosecond", () => {
    expect(panned(span, 1)).toEqual({ since: "1795440760000000050", until: "1795440760000000150" });
    expect(panned(panned(span, 1), -1)).toEqual(span);
    expect(panned({ since: "10", until: "100" }, -1)).toEqual({ since: "0", until: "90" });
    expect(panned({ since: "5", until: "5" }, 1)).toEqual({ since: "6", until: "6" });
  });
  it("widens around its middle", () => {
    expect(widened(span)).toEqual({ since: "1795440759999999950", until: "1795440760000000150" });
    expect(widened({ since: "10", until: "100" })).toEqual({ since: "0", until: "145" });
  });
});

describe("times that are compared", () => {
  it("precede by their own length", () => {
    expect(precedes("100", "130")).toEqual({ since: "70", until: "100" });
    expect(precedes("10", "130")).toEqual({ since: "0", until: "10" });
  });
  it("are halves of all there is, to the nanosecond", () => {
    expect(nanoseconds("2026-11-23T13:32:40.728123456Z")).toBe(1_795_440_760_728_123_456n);
    expect(nanoseconds("2026-11-23T13:32:40Z")).toBe(1_795_440_760_000_000_000n);
    expect(nanoseconds("2026-11-23T14:32:40.5+01:00")).toBe(1_795_440_760_500_000_000n);
    expect(halves("1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z")).toEqual({ begin: "0", middle: "500500000", end: "1001000000" });
  });
  it("are typed in the zone that is shown", () => {
    expect(toInput(fromInput("2026-11-23T13:32:40", "utc"), "utc")).toBe("2026-11-23T13:32:40");
    expect(toInput(fromInput("2026-11-23T13:32:40", "local"), "local")).toBe("2026-11-23T13:32:40");
    expect(fromInput("2026-11-23T13:32:40", "utc")).toBe("1795440760000000000");
    expect([fromInput("", "utc"), toInput("", "utc")]).toEqual(["", ""]);
  });
});
