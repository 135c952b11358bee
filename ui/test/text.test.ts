import { describe, expect, it } from "vitest";
import { literals } from "./literals";

const modules = import.meta.glob<string>("../src/**/*.{ts,tsx}", { query: "?raw", eager: true, import: "default" });
const code = Object.entries(modules).filter(([name]) => !name.startsWith("../src/text/"));

describe("the catalogue", () => {
  it("holds every text of the page: none stands in the code", () => {
    expect(code.length).toBeGreaterThan(40);
    expect(code.flatMap(([name, source]) => literals(name, source).map(({ at, text }) => `${name}:${at}: ${text}`))).toEqual([]);
  }, 60_000); // every source is parsed
  it("is looked for with an eye for what is text", () => {
    const texts = (source: string): string[] => literals("view.tsx", source).map(({ text }) => text);
    expect(texts('<p class="a b">Hello {name}, <b>you</b></p>')).toEqual(["Hello", "you"]);
    expect(texts('<i title="Read me" id="read me">{isOn ? "on" : x && "off"}</i>')).toEqual(["Read me", "on", "off"]);
    expect(texts('say("Saved"); go({ view: "traffic" }); set(`it takes ${n} more steps`)')).toEqual(["Saved", "it takes", "more steps"]);
    expect(texts('box.querySelector("input, button, .editor"); const x = { a: "one" };')).toEqual([]);
  });
});
