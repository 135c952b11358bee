import { describe, expect, it } from "vitest";
import { panned, widened } from "../src/core/span";

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
