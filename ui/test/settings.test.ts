import { describe, expect, it } from "vitest";
import type { SettingSpec } from "../src/core/types";
import { typedValue } from "../src/core/settings";

const spec = (type: SettingSpec["type"]): SettingSpec => ({ name: "x", type, default: null, required: false, choices: [], minimum: null, maximum: null, secret: false, description: "" });

describe("settings of a plugin", () => {
  it("become what they are declared as", () => {
    expect(typedValue(spec("list"), "a, b,,c ")).toEqual(["a", "b", "c"]);
    expect(typedValue(spec("int"), "12")).toBe(12);
    expect(typedValue(spec("double"), "1.5")).toBe(1.5);
    expect(typedValue(spec("bool"), "false")).toBe(false);
    expect(typedValue(spec("string"), " as it is ")).toBe(" as it is ");
  });
  it("are the default where nothing is typed", () => {
    for (const type of ["list", "int", "double", "bool", "string"] as const) expect(typedValue(spec(type), "")).toBeNull();
  });
  it("leave it to the hub to refuse what is no number", () => {
    expect(typedValue(spec("int"), "many")).toBe("many");
  });
});
