import { describe, expect, it } from "vitest";
import { MAX_PX, OVERSCAN, Track } from "../src/core/window";

describe("what is scrolled", () => {
  it("shows the rows of the viewport and a few around", () => {
    const track = new Track(1000, 25, 500);
    expect(track.window(0)).toEqual({ first: 0, last: 20 + OVERSCAN });
    expect(track.window(track.maxTop)).toEqual({ first: 980 - OVERSCAN, last: 1000 });
    expect(new Track(0, 25, 500).window(0)).toEqual({ first: 0, last: 0 });
    expect(new Track(3, 25, 500).maxTop).toBe(0);
  });

  it("reaches every row of a list that is longer than an element may be", () => {
    const track = new Track(5_000_000, 26, 700);
    expect(track.height).toBe(MAX_PX);
    expect(track.isScaled).toBe(true);
    expect(track.toTop(0)).toBe(0);
    expect(track.toTop(MAX_PX - 700)).toBe(track.maxTop);
    for (const top of [0, 1, 26, 1e6, 5e7, track.maxTop]) expect(track.toTop(track.toScroll(top))).toBeCloseTo(top, 3);
  });

  it("is not scaled where it need not be", () => {
    const track = new Track(500_000, 26, 700);
    expect(track.isScaled).toBe(false);
    expect(track.toTop(12345)).toBe(12345);
  });

  it("reveals a row with the least movement", () => {
    const track = new Track(1000, 10, 100);
    expect(track.reveal(5, 0)).toBe(0);
    expect(track.reveal(10, 0)).toBe(10);
    expect(track.reveal(3, 500)).toBe(30);
    expect(track.reveal(999, 0)).toBe(9900);
  });
});
