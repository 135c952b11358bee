/** The settings that a plugin declares, as a form. What was not touched is not sent: secrets stay what they are. */

import { useState } from "preact/hooks";
import { api } from "../core/api";
import { typedValue } from "../core/settings";
import { say } from "../core/state";
import type { Plugin, SettingSpec } from "../core/types";
import { texts } from "../text/plugin-settings";

const shown = (value: unknown): string => (value === null || value === undefined ? "" : Array.isArray(value) ? value.join(", ") : String(value));

export function PluginSettings({ plugin, saved }: { plugin: Plugin; saved: () => void }) {
  const [typed, setTyped] = useState<Readonly<Record<string, string>>>({});
  const [error, setError] = useState("");
  if (!plugin.declared.length) return null;
  const names = Object.keys(typed);
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    const changes = Object.fromEntries(plugin.declared.filter((spec) => names.includes(spec.name)).map((spec) => [spec.name, typedValue(spec, typed[spec.name] ?? "")]));
    try {
      await api.setPluginSettings(plugin.id, changes);
      setTyped({});
      setError("");
      say(texts.hasItsNewSettings(plugin.id));
      saved();
    } catch (failed) {
      setError((failed as Error).message);
    }
  };
  return (
    <details>
      <summary><b>{texts.settings}</b> <span class="dim">{plugin.declared.length}</span></summary>
      <form class="form" aria-label={texts.settingsOf(plugin.id)} onSubmit={(event) => void save(event)}>
        {plugin.declared.map((spec) => (
          <Field key={spec.name} id={`set-${plugin.id}-${spec.name}`} spec={spec} now={typed[spec.name] ?? shown(plugin.settings[spec.name])} isSet={plugin.settings[spec.name] !== undefined} set={(text) => setTyped({ ...typed, [spec.name]: text })} />
        ))}
        <span />
        <span class="buttons">
          <button type="submit" class="primary" disabled={!names.length}>{texts.save}</button>
          <button type="button" disabled={!names.length} onClick={() => { setTyped({}); setError(""); }}>{texts.undo}</button>
          <span class="dim">{texts.anEmptyFieldIs}</span>
        </span>
        {error && <span />}
        {error && <p class="bad" role="alert">{error}</p>}
      </form>
    </details>
  );
}

function Field({ id, spec, now, isSet, set }: { id: string; spec: SettingSpec; now: string; isSet: boolean; set: (text: string) => void }) {
  const otherwise = shown(spec.default);
  const hint = [spec.description, spec.type === "list" ? texts.commasBetween : "", spec.minimum !== null ? texts.atLeast(spec.minimum) : "", spec.maximum !== null ? texts.atMost(spec.maximum) : "", otherwise && !spec.secret ? `default ${otherwise}` : ""].filter(Boolean).join(" · ");
  const common = { id, "aria-describedby": `${id}-hint` };
  const choices = spec.type === "bool" ? ["true", "false"] : spec.type === "string" ? spec.choices : [];
  return (
    <>
      <label for={id}>{spec.name}{spec.required && !isSet ? texts.required : ""}</label>
      <span>
        {choices.length > 0
          ? <select {...common} value={now} onChange={(event) => set(event.currentTarget.value)}><option value="">{texts.default}</option>{choices.map((each) => <option key={each} value={each}>{each}</option>)}</select>
          : <input {...common} type={spec.secret ? "password" : "text"} autocomplete="off" inputMode={spec.type === "int" || spec.type === "double" ? "decimal" : "text"} value={now} placeholder={spec.secret ? "" : otherwise} onInput={(event) => set(event.currentTarget.value)} />}
        <span id={`${id}-hint`} class="dim hint">{hint}</span>
      </span>
    </>
  );
}
