/** What the firewalls of all nodes refuse and record, as it happens: filtered by KFL, paused, with what was lost. */

import { useEffect, useState } from "preact/hooks";
import { NO_EVENTS, came, listen, paused } from "../core/firewall";
import { events as text } from "../text/firewall";

export function EventsCard() {
  const [draft, setDraft] = useState("");
  const [kfl, setKfl] = useState("");
  const [feed, setFeed] = useState(NO_EVENTS);
  const [isOpen, setOpen] = useState(false);
  const [error, setError] = useState("");
  useEffect(() => {
    setError("");
    setFeed((before) => ({ ...NO_EVENTS, isPaused: before.isPaused }));
    return listen(kfl, (found, lost) => setFeed((before) => came(before, found, lost)), setError, setOpen);
  }, [kfl]);
  return (
    <section class="card" aria-labelledby="events-title">
      <h2 id="events-title">{text.title}</h2>
      <form class="buttons" onSubmit={(event) => { event.preventDefault(); setKfl(draft); }}>
        <label>{text.filter} <input class="mono" spellcheck={false} placeholder={text.hint} title={text.fields} value={draft} onInput={(event) => setDraft(event.currentTarget.value)} /></label>
        <button type="submit">{text.apply}</button>
        <button type="button" aria-pressed={feed.isPaused} onClick={() => setFeed(paused(feed, !feed.isPaused))}>{text.pause}</button>
        <span class="dim">{text.counted(feed, isOpen)}</span>
      </form>
      {error && <p class="bad" role="alert">{error}</p>}
      {feed.events.length === 0 ? !error && <p class="dim">{text.none}</p> : (
        <div class="scroll-x" tabIndex={0} role="region" aria-label={text.table}>
          <table class="grid">
            <thead><tr><th scope="col">{text.time}</th><th scope="col">{text.node}</th><th scope="col">{text.verdict}</th><th scope="col">{text.rule}</th><th scope="col">{text.from}</th><th scope="col">{text.to}</th></tr></thead>
            <tbody>{feed.events.map((each, i) => (
              <tr key={i}>
                <td class="mono">{text.at(each.time)}</td><td>{text.where(each.node, each.subject)}</td><td>{each.verdict}</td><td>{text.ruleName(each.direction, each.policy ?? "", each.rule ?? "")}</td>
                <td class="mono">{text.end(each.src, each.srcPort)}</td><td class="mono">{text.end(each.dst, each.dstPort)}</td>
              </tr>
            ))}</tbody>
          </table>
        </div>
      )}
    </section>
  );
}
