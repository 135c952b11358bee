/** The filter: an ordinary input at once; the editor with completion is fetched when it gets the focus. */

import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "../core/api";
import { isTooLong } from "../core/kfl";
import { place, setFilter, dropLast } from "../core/state";
import { shown, traffic } from "../shared";
import type { Editor } from "./editor";
import { FiltersMenu } from "./filters-menu";
import { Icon } from "./icon";
import { texts as coreTexts } from "../text/core";
import { texts } from "../text/filter-bar";

const CHECK_MS = 150;

export function FilterBar() {
  const { kfl } = place.value;
  const [text, setText] = useState(kfl);
  const [fault, setFault] = useState<{ message: string; column: number } | null>(null);
  const [notices, setNotices] = useState<readonly string[]>([]);
  const [isHistory, setHistory] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor | null>(null);
  const loading = useRef(false);

  const apply = (value: string): void => {
    setHistory(false);
    if (isTooLong(value.trim())) return; // it is said below the filter
    if (value.trim() === place.value.kfl) traffic.rerun();
    else setFilter(value.trim());
  };

  useEffect(() => {
    setText(kfl);
    if (editor.current && editor.current.text !== kfl) editor.current.text = kfl;
  }, [kfl]);

  useEffect(() => {
    const asked = text.trim();
    const leaving = new AbortController();
    const timer = setTimeout(() => {
      if (!asked) {
        setFault(null);
        setNotices([]);
        return;
      }
      if (isTooLong(asked)) return setFault({ message: coreTexts.filterTooLong, column: 0 });
      api.check(asked, leaving.signal).then((answer) => {
        if (leaving.signal.aborted) return;
        setFault(answer.ok ? null : { message: answer.error ?? "not a filter", column: answer.column ?? 0 });
        setNotices(answer.notices ?? []);
      }, () => undefined);
    }, CHECK_MS);
    return () => {
      leaving.abort();
      clearTimeout(timer);
    };
  }, [text]);

  useEffect(() => editor.current?.setFault(fault ? { from: fault.column, message: fault.message } : null), [fault]);

  const load = async (): Promise<void> => {
    if (loading.current || !host.current) return;
    loading.current = true;
    try {
      const { mountEditor } = await import("./editor");
      const made = mountEditor(host.current, input.current?.value ?? "", { change: setText, apply });
      const hadFocus = document.activeElement === input.current;
      const at = input.current?.selectionStart ?? 0;
      editor.current = made;
      host.current.dataset["ready"] = "true";
      if (hadFocus) made.focus(at);
    } catch {
      loading.current = false; // the plain input goes on working
    }
  };

  useEffect(() => {
    shown.focusFilter = () => (editor.current ? editor.current.focus() : input.current?.focus());
    if (shown.wantsFilter) shown.focusFilter();
    shown.wantsFilter = false;
    return () => { shown.focusFilter = null; };
  }, []);

  const running = traffic.standing.value.phase === "failed" ? traffic.standing.value : null;
  const words = (text: string): string => text.replace(/^line 1, /, "");
  const message = fault ? words(fault.message) : running && text.trim() === kfl ? words(running.error) : "";
  return (
    <form class="filter" role="search" data-bad={message ? "true" : undefined} onSubmit={(event) => { event.preventDefault(); apply(editor.current?.text ?? text); }}
      onKeyDown={(event) => { if (event.key === "Escape" && isHistory) { event.preventDefault(); event.stopPropagation(); setHistory(false); } }}>
      <div class="filter-row">
        <Icon name="search" />
        <div class="filter-field">
          <input ref={input} id="filter" class="filter-plain" aria-label={texts.filter} aria-invalid={message !== ""} aria-describedby="filter-message" autocomplete="off" spellcheck={false} placeholder={texts.filterSuchAsHttp} value={text}
            onInput={(event) => setText(event.currentTarget.value)} onFocus={() => void load()} />
          <div ref={host} class="editor" tabIndex={-1} />
        </div>
        {text && <button type="button" class="icon" aria-label={texts.clearTheFilter} title={texts.clear} onClick={() => { setText(""); if (editor.current) editor.current.text = ""; apply(""); }}><Icon name="close" /></button>}
        <button type="button" class="icon" aria-label={texts.savedAndEarlierFilters} aria-expanded={isHistory} title={texts.savedAndEarlierFilters} onClick={() => setHistory(!isHistory)}><Icon name="clock" /></button>
        <button type="submit" class="primary">{texts.apply}</button>
      </div>
      <p id="filter-message" class="filter-message" role={message ? "alert" : undefined} hidden={!message && !notices.length}>
        {message && <span class="bad">{message}</span>}
        {message && !fault && running && kfl.includes("&&") && <button type="button" class="link-button" onClick={dropLast}>{texts.dropTheLastTerm}</button>}
        {!message && notices.map((each) => <span key={each}>{each}</span>)}
      </p>
      {isHistory && <FiltersMenu text={text} apply={(kfl) => { setText(kfl); apply(kfl); }} />}
    </form>
  );
}
