/** Settings of plugins: what people type becomes what the plugin declares. */

import type { SettingSpec } from "./types";

type Value = string | number | boolean | readonly string[] | null;

/** What was typed, as the hub takes it; null: the default again. The hub says what cannot be. */
export function typedValue(spec: SettingSpec, text: string): Value {
  if (text.trim() === "" && spec.type !== "string") return null;
  switch (spec.type) {
    case "list": return text.split(",").map((each) => each.trim()).filter(Boolean);
    case "int":
    case "double": {
      const value = Number(text);
      return Number.isFinite(value) ? value : text;
    }
    case "bool": return text === "true";
    case "string": return text === "" ? null : text;
  }
}
