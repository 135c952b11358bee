import { letterKeys } from "../core/state";
import { KEYS } from "../text/keys";
import { Dialog } from "./dialog";
import { texts } from "../text/help";

const EXAMPLES = [
  ["http && status_code >= 500", texts.failedHttp],
  ['src.ip == "10.0.0.7" && dst.port == 443', texts.oneClientOnePort],
  ['request.headers["user-agent"].contains("curl")', "a header"],
  ['dns && status_code != 0', texts.namesThatWereNot],
  ["elapsed_time > 250000", texts.slowerThan250Ms],
  ['path.startsWith("/api/") && method != "GET"', texts.writesToAnApi],
  ["error", texts.halfConnectionsAndWhat],
] as const;

export function Help() {
  return (
    <Dialog title={texts.help} wide>
      <div class="help">
        <section>
          <h3>{texts.keys}</h3>
          <dl class="keys">
            {KEYS.map(({ keys, does }) => (
              <div key={keys}><dt>{keys.split(/(?<=\s)|(?=\s)/).map((part, i) => (/^\s+$|^or$|^…$/.test(part) ? ` ${part.trim()} ` : <kbd key={i}>{part.replace(/,$/, "")}</kbd>))}</dt><dd>{does}</dd></div>
            ))}
          </dl>
          <label class="check"><input type="checkbox" checked={letterKeys.value} onChange={(event) => (letterKeys.value = event.currentTarget.checked)} /> {texts.singleLettersAreKeys}</label>
        </section>
        <section>
          <h3>{texts.mouse}</h3>
          <p>{texts.aClickOnA(<kbd>{texts.alt}</kbd>, <kbd>{texts.ctrl}</kbd>)}</p>
          <h3>{texts.filterLanguage}</h3>
          <dl class="examples">
            {EXAMPLES.map(([kfl, does]) => <div key={kfl}><dt><code>{kfl}</code></dt><dd>{does}</dd></div>)}
          </dl>
          <p>{texts.joinedByAndBrackets(<code>&&</code>, <code>||</code>, <code>!</code>, <code>{texts.contains}</code>, <code>{texts.startswith}</code>, <code>{texts.endswith}</code>, <code>{texts.matches}</code>, <code>{texts.in}</code>)}</p>
        </section>
      </div>
    </Dialog>
  );
}
