/**
 * CodeMirror for the filter, in a shadow root: there its styles are adopted sheets, which the page's policy allows; in the
 * document they would be inline.
 */

import { acceptCompletion, autocompletion, closeBrackets, closeCompletion, selectedCompletion, closeBracketsKeymap, completionKeymap, type Completion, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { setDiagnostics } from "@codemirror/lint";
import { EditorState, Prec } from "@codemirror/state";
import { Decoration, EditorView, MatchDecorator, ViewPlugin, type DecorationSet, type ViewUpdate, keymap, placeholder } from "@codemirror/view";
import { api } from "../core/api";
import { quote } from "../core/kfl";
import { history_ } from "../core/state";
import { completions } from "./vocabulary";
import { texts } from "../text/editor";

export interface Editor {
  text: string;
  focus(at?: number): void;
  setFault(fault: { from: number; message: string } | null): void;
}

const TOKEN = /("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?)|\b(\d+(?:\.\d+)?)\b|(&&|\|\||[=!<>]=?|\bin\b|\btrue\b|\bfalse\b)/g;
const marks = { text: Decoration.mark({ class: "k-text" }), number: Decoration.mark({ class: "k-number" }), word: Decoration.mark({ class: "k-word" }) };
const decorator = new MatchDecorator({ regexp: TOKEN, decoration: (match) => (match[1] ? marks.text : match[2] ? marks.number : marks.word) });
const colours = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet;
    constructor(view: EditorView) {
      this.decorations = decorator.createDeco(view);
    }
    update(update: ViewUpdate): void {
      this.decorations = decorator.updateDeco(update, this.decorations);
    }
  },
  { decorations: (plugin) => plugin.decorations },
);

const look = EditorView.theme({
  "&": { fontSize: "13px", background: "transparent", color: "var(--text)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "22px", overflow: "hidden" },
  ".cm-content": { padding: "3px 0", caretColor: "var(--text)" },
  ".cm-line": { padding: "0" },
  ".cm-placeholder": { color: "var(--faint)" },
  ".k-text": { color: "var(--k-text)" },
  ".k-number": { color: "var(--k-number)" },
  ".k-word": { color: "var(--k-word)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad)", textUnderlineOffset: "3px" },
  ".cm-tooltip": { background: "var(--raised)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "6px", boxShadow: "var(--shadow)", overflow: "hidden" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12px", maxHeight: "18em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { background: "var(--selected)", color: "var(--text)" },
  ".cm-completionDetail": { color: "var(--dim)", fontStyle: "normal", marginLeft: "1.5em" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "600" },
  ".cm-completionIcon": { display: "none" },
  ".cm-diagnostic": { borderLeft: "none", fontFamily: "var(--sans)", padding: "6px 10px" },
  ".cm-lintPoint": { display: "none" },
});

const COMPARED = /([A-Za-z_][\w.]*)\s*(?:==|!=)\s*("?[^"\s]*)$/;
const WORD = /[A-Za-z_][\w.]*$/;
const NEAR = 500; // characters before the cursor: both try every begin of a word, which takes the square of its length

/** Values after a comparison, words elsewhere, earlier filters in an empty one. */
async function complete(context: CompletionContext): Promise<CompletionResult | null> {
  const before = context.state.sliceDoc(0, context.pos);
  const near = before.slice(-NEAR);
  const compared = COMPARED.exec(near);
  if (compared?.[1]) {
    try {
      const leaving = new AbortController();
      context.addEventListener("abort", () => leaving.abort(), { onDocChange: true });
      const answer = (await api.values(compared[1], "", leaving.signal)) as { values: { value: string | number | boolean; entries: number }[] };
      const options: Completion[] = answer.values.map(({ value, entries }) => ({
        label: typeof value === "string" ? quote(value) : String(value), detail: `${entries}×`, type: "value",
      }));
      return { from: context.pos - (compared[2]?.length ?? 0), options, validFor: /^"?[^"]*$/ };
    } catch {
      return null;
    }
  }
  const word = WORD.exec(near);
  if (!word && before.trim() !== "" && !context.explicit) return null;
  const inString = (before.replace(/\\./g, "").match(/"/g)?.length ?? 0) % 2 === 1;
  if (inString) return null;
  const options = await completions();
  const earlier: Completion[] = before.trim() === "" ? history_.value.slice(0, 8).map((label, i) => ({ label, type: "history", detail: "earlier", boost: 50 - i })) : [];
  if (!word && !context.explicit && !earlier.length) return null;
  return { from: context.pos - (word?.[0].length ?? 0), options: [...earlier, ...options], validFor: /^[\w.]*$/ };
}

export function mountEditor(host: HTMLElement, begin: string, events: { change(text: string): void; apply(text: string): void }): Editor {
  const root = host.attachShadow({ mode: "open" });
  const apply = (view: EditorView): boolean => {
    events.apply(view.state.doc.toString());
    return true;
  };
  /** Enter takes a completion, unless the word is already there in full: then it applies the filter. */
  const enter = (view: EditorView): boolean => {
    const chosen = selectedCompletion(view.state);
    const before = view.state.sliceDoc(0, view.state.selection.main.head);
    if (chosen && !before.endsWith(chosen.label)) return acceptCompletion(view);
    closeCompletion(view);
    return apply(view);
  };
  const step = (by: number) => (): boolean => {
    if (by < 0) window.history.back();
    else window.history.forward();
    return true;
  };
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: begin,
      extensions: [
        EditorState.transactionFilter.of((change) => (change.newDoc.lines > 1 ? [{ changes: { from: 0, to: change.startState.doc.length, insert: change.newDoc.toString().replace(/\s*\n\s*/g, " ") }, sequential: false }] : change)),
        Prec.highest(keymap.of([{ key: "Mod-Enter", run: apply }, { key: "Enter", run: enter }, { key: "Tab", run: acceptCompletion }, { key: "Alt-ArrowLeft", run: step(-1) }, { key: "Alt-ArrowRight", run: step(1) }])),
        autocompletion({ override: [complete], icons: false, activateOnTypingDelay: 80, interactionDelay: 0 }),
        keymap.of([...completionKeymap, ...closeBracketsKeymap, { key: "Escape", run: () => { document.querySelector<HTMLElement>(".list-scroll")?.focus(); return true; } }, ...historyKeymap, ...defaultKeymap]),
        closeBrackets(),
        history(),
        colours,
        look,
        placeholder(texts.filterTypeAProtocol),
        EditorView.contentAttributes.of({ "aria-label": "Filter", "aria-describedby": "filter-message", spellcheck: "false" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) events.change(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    get text() {
      return view.state.doc.toString();
    },
    set text(text: string) {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    focus(at) {
      view.focus();
      const end = view.state.doc.length;
      view.dispatch({ selection: at === undefined ? { anchor: 0, head: end } : { anchor: Math.min(at, end) } });
    },
    setFault(fault) {
      const { length } = view.state.doc;
      const from = fault ? Math.min(Math.max(0, fault.from - 1), Math.max(0, length - 1)) : 0;
      const word = /^[\w.]+|^\S/.exec(view.state.sliceDoc(from))?.[0].length ?? 1;
      view.dispatch(setDiagnostics(view.state, fault && length ? [{ from, to: Math.min(length, from + word), severity: "error", message: fault.message }] : []));
    },
  };
}
