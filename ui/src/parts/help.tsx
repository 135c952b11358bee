import { KEYS } from "../keys";
import { letterKeys } from "../core/state";
import { Dialog } from "./dialog";

const EXAMPLES = [
  ["http && status_code >= 500", "failed HTTP"],
  ['src.ip == "10.0.0.7" && dst.port == 443', "one client, one port"],
  ['request.headers["user-agent"].contains("curl")', "a header"],
  ['dns && status_code != 0', "names that were not found"],
  ["elapsed_time > 250000", "slower than 250 ms (in µs)"],
  ['path.startsWith("/api/") && method != "GET"', "writes to an API"],
  ["error", "half connections, and what could not be read"],
] as const;

export function Help() {
  return (
    <Dialog title="Help" wide>
      <div class="help">
        <section>
          <h3>Keys</h3>
          <dl class="keys">
            {KEYS.map(({ keys, does }) => (
              <div key={keys}><dt>{keys.split(/(?<=\s)|(?=\s)/).map((part, i) => (/^\s+$|^or$|^…$/.test(part) ? ` ${part.trim()} ` : <kbd key={i}>{part.replace(/,$/, "")}</kbd>))}</dt><dd>{does}</dd></div>
            ))}
          </dl>
          <label class="check"><input type="checkbox" checked={letterKeys.value} onChange={(event) => (letterKeys.value = event.currentTarget.checked)} /> Single letters are keys</label>
        </section>
        <section>
          <h3>Mouse</h3>
          <p>A click on a row opens it. A click on its protocol, method, status or an address adds that to the filter; with <kbd>Alt</kbd> it is excluded. <kbd>Ctrl</kbd>-click does so for any cell. A drag over the timeline chooses a time.</p>
          <h3>Filter language</h3>
          <dl class="examples">
            {EXAMPLES.map(([kfl, does]) => <div key={kfl}><dt><code>{kfl}</code></dt><dd>{does}</dd></div>)}
          </dl>
          <p>Joined by <code>&&</code>, <code>||</code>, <code>!</code> and brackets. Text has <code>contains</code>, <code>startsWith</code>, <code>endsWith</code>, <code>matches</code>; lists are asked with <code>in</code>.</p>
        </section>
      </div>
    </Dialog>
  );
}
