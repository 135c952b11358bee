/**
 * Sections of a representation. Whatever comes from the network or a plugin becomes text nodes, images blobs of a checked
 * type. A section that cannot be drawn is shown as the document it is.
 */

import { Component, type ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { asText, fromBase64, hexLines, jsonTokens, loosely, prettyJson } from "../core/bytes";
import { bytes, count, latency, visible } from "../core/format";
import { equals } from "../core/kfl";
import { copy, exclude, include } from "../core/state";
import type { Section, TableRow } from "../core/types";
import { Icon } from "./icon";
import { texts } from "../text/sections";

const CUT = 64 * 1024; // characters of a body that are laid out at once
const HEX_LINES = 64;
const TABLE_ROWS = 200;
const ARROWS: Readonly<Record<string, string>> = { client: "→", server: "←" };
const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

/** What is linked over the sections of an entry: the selector one points at. */
export interface Linked {
  readonly selector: string;
  readonly point: (selector: string) => void;
}

export function SectionView({ section, linked }: { section: Section; linked: Linked }) {
  const made = section.plugin ? `${section.plugin}${section.micros ? ` · ${latency(section.micros / 1000)}` : ""}` : "";
  return (
    <details class="section" open>
      <summary><span class="section-title">{visible(section.title || section.type)}</span>{made && <span class="made" title={texts.madeByThisPlugin}>{made}</span>}</summary>
      <Fallback section={section}><Content section={section} linked={linked} /></Fallback>
    </details>
  );
}

class Fallback extends Component<{ section: Section; children: ComponentChildren }, { error: string }> {
  override state = { error: "" };
  override componentDidCatch(error: unknown): void {
    this.setState({ error: error instanceof Error ? error.message : String(error) });
  }
  override render() {
    if (!this.state.error) return this.props.children;
    return <><p class="bad">{texts.thisSectionCouldNot(this.state.error)}</p><pre class="code">{JSON.stringify(this.props.section, null, 1).slice(0, CUT)}</pre></>;
  }
}

function Content({ section, linked }: { section: Section; linked: Linked }) {
  switch (section.type) {
    case "table": return <Table rows={section.tableData ?? []} linked={linked} />;
    case "hex": return <Hex data={fromBase64(section.body ?? "")} section={section} linked={linked} />;
    case "image": return <Image section={section} />;
    case "timeline": return <Timeline section={section} />;
    case "code": return <Code text={section.body ?? ""} />;
    default: return <Body section={section} />;
  }
}

function Table({ rows, linked }: { rows: readonly TableRow[]; linked: Linked }) {
  const [limit, setLimit] = useState(TABLE_ROWS);
  const act = (event: Event): void => {
    const button = (event.target as Element).closest<HTMLElement>("button[data-act]");
    const row = rows[Number(button?.dataset["row"] ?? Number.NaN)];
    if (!button || !row) return;
    const term = equals(row.selector, row.value);
    if (button.dataset["act"] === "copy") void copy(String(row.value ?? ""));
    else if (button.dataset["act"] === "include") include(term);
    else exclude(term);
  };
  if (!rows.length) return <p class="dim">{texts.empty}</p>;
  return (
    <>
      <table class="pairs" onClick={act}>
        <tbody>
          {rows.slice(0, limit).map((row, i) => {
            const value = row.value === null ? "" : String(row.value);
            return (
              <tr key={i} data-linked={(row.selector !== "" && row.selector === linked.selector) || undefined} onMouseEnter={() => row.selector && linked.point(row.selector)}>
                <th scope="row">{visible(row.name)}</th>
                <td><span class={typeof row.value === "number" ? texts.valueNumber : "value"}>{visible(value)}</span></td>
                <td class="acts">
                  {row.selector && row.value !== null && <button type="button" data-act="include" data-row={i} title={texts.only(equals(row.selector, row.value))} aria-label={texts.onlyEntriesWithThis(row.name)}><Icon name="plus" /></button>}
                  {row.selector && row.value !== null && <button type="button" data-act="exclude" data-row={i} title={texts.notThese} aria-label={texts.noEntriesWithThis(row.name)}><Icon name="minus" /></button>}
                  <button type="button" data-act="copy" data-row={i} title={texts.copy} aria-label={texts.copyNamed(row.name)}><Icon name="copy" /></button>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {rows.length > limit && <button type="button" class="small" onClick={() => setLimit(limit + 5 * TABLE_ROWS)}>{count(rows.length - limit)} {texts.moreRows}</button>}
    </>
  );
}

/** Text with line wrapping, cut; JSON in colour. */
export function Code({ text, isJson = false, limit = CUT }: { text: string; isJson?: boolean; limit?: number }) {
  const [isWhole, setWhole] = useState(false);
  const shown = useMemo(() => visible(isWhole ? text : text.slice(0, limit)), [text, isWhole, limit]);
  const tokens = useMemo(() => (isJson && shown.length <= 4 * CUT ? jsonTokens(shown) : null), [shown, isJson]);
  return (
    <>
      <pre class="code" tabIndex={0}>{tokens ? tokens.map(([kind, part], i) => (kind ? <span key={i} class={`k-${kind}`}>{part}</span> : part)) : shown}</pre>
      {!isWhole && text.length > limit && <button type="button" class="small" onClick={() => setWhole(true)}>{texts.showAllCharacters(count(text.length))}</button>}
    </>
  );
}

type Form = "pretty" | "text" | "hex" | "image";

function Body({ section }: { section: Section }) {
  const { body = "", encoding = "", mimeType = "" } = section;
  const [form, setForm] = useState<Form>("pretty");
  const [word, setWord] = useState("");
  const data = useMemo(() => (encoding === "base64" ? fromBase64(body) : null), [body, encoding]);
  const text = useMemo(() => (data ? asText(data) : body), [data, body]);
  const pretty = useMemo(() => (text !== null && text.length < 16 * CUT ? prettyJson(text) : null), [text]);
  const asBytes = useMemo(() => (form === "hex" || form === "image" || text === null ? (data ?? new TextEncoder().encode(body)) : null), [form, text, data, body]);
  if (!body) return <p class="dim">{texts.empty}</p>;
  const isImage = data !== null && IMAGES.has(mimeType); // drawn only when asked for: decoders have read worse than pages
  const now: Form = isImage && form === "image" ? form : text === null ? "hex" : form === "pretty" && pretty === null ? "text" : form;
  const shownText = now === "pretty" ? (pretty ?? "") : (text ?? "");
  const hits = word ? shownText.toLowerCase().split(word.toLowerCase()).length - 1 : 0;
  const save = (): void => {
    const link = document.createElement("a");
    // Never opened, only saved: what the network sent is no page of ours.
    link.href = URL.createObjectURL(new Blob([(data ?? body) as BlobPart], { type: "application/octet-stream" }));
    link.download = "body.bin";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  return (
    <div class="body">
      <div class="body-tools">
        <div class="segmented" role="group" aria-label={texts.formOfTheBody}>
          {pretty !== null && <button type="button" aria-pressed={now === "pretty"} onClick={() => setForm("pretty")}>{texts.pretty}</button>}
          {text !== null && <button type="button" aria-pressed={now === "text"} onClick={() => setForm("text")}>{texts.text}</button>}
          <button type="button" aria-pressed={now === "hex"} onClick={() => setForm("hex")}>{texts.hex}</button>
          {isImage && <button type="button" aria-pressed={now === "image"} onClick={() => setForm("image")}>{texts.image}</button>}
        </div>
        <span class="dim">{mimeType}{mimeType && " · "}{bytes(data ? data.length : body.length)}</span>
        <span class="grow" />
        {now !== "hex" && now !== "image" && <input type="search" class="find" placeholder={texts.find} aria-label={texts.findInTheBody} value={word} onInput={(event) => setWord(event.currentTarget.value)} />}
        {word && <span class="dim" role="status">{hits ? `${count(hits)}×` : texts.notThere}</span>}
        <button type="button" class="icon" title={texts.copy} aria-label={texts.copyTheBody} onClick={() => void copy(shownText || loosely(asBytes ?? new Uint8Array()))}><Icon name="copy" /></button>
        <button type="button" class="icon" title={texts.download} aria-label={texts.downloadTheBody} onClick={save}><Icon name="download" /></button>
      </div>
      {now === "image" ? <Image section={section} /> : now === "hex" ? <Hex data={asBytes ?? new Uint8Array()} section={section} linked={null} /> : word && hits ? <Found text={shownText} word={word} /> : <Code text={shownText} isJson={now === "pretty"} />}
    </div>
  );
}

/** The neighbourhoods of what was looked for. */
function Found({ text, word }: { text: string; word: string }) {
  const parts: ComponentChildren[] = [];
  const lower = text.toLowerCase();
  const want = word.toLowerCase();
  let at = 0;
  for (let n = 0; n < 500 && at < CUT * 4; n++) {
    const hit = lower.indexOf(want, at);
    if (hit < 0) break;
    const from = Math.max(at, hit - 400);
    parts.push(from > at ? `${visible(text.slice(at, at + 100))} … ` : "", visible(text.slice(from, hit)), <mark key={n}>{visible(text.slice(hit, hit + word.length))}</mark>);
    at = hit + word.length;
  }
  parts.push(visible(text.slice(at, at + 400)));
  return <pre class="code" tabIndex={0}>{parts}</pre>;
}

export function Hex({ data, section, linked }: { data: Uint8Array; section: Section | null; linked: Linked | null }) {
  const [lines, setLines] = useState(HEX_LINES);
  const ranges = section?.ranges ?? [];
  const owner = useMemo(() => {
    const of = new Int32Array(Math.min(data.length, lines * 16)).fill(-1);
    ranges.forEach((range, k) => of.fill(k, Math.max(0, range.start), Math.max(0, Math.min(range.end, of.length))));
    return of;
  }, [ranges, data, lines]);
  const point = (event: Event): void => {
    const at = (event.target as HTMLElement).dataset["at"];
    const range = at === undefined ? undefined : ranges[owner[Number(at)] ?? -1];
    if (range) linked?.point(range.selector);
  };
  return (
    <>
      <div class="hex" tabIndex={0} role="group" aria-label={texts.bytes} onMouseOver={point}>
        {hexLines(data, 0, lines).map((line, k) => (
          <div key={k} class="hex-line">
            <span class="hex-offset">{line.offset}</span>
            <span class="hex-bytes">
              {ranges.length === 0 ? line.bytes.join(" ") : line.bytes.map((byte, i) => {
                const range = ranges[owner[k * 16 + i] ?? -1];
                return <span key={i} data-at={k * 16 + i} title={range?.name} data-range={range ? (owner[k * 16 + i] ?? 0) % 6 : undefined} data-linked={(range && range.selector !== "" && range.selector === linked?.selector) || undefined}>{byte} </span>;
              })}
            </span>
            <span class="hex-text">{line.text}</span>
          </div>
        ))}
      </div>
      {data.length > lines * 16 && <button type="button" class="small" onClick={() => setLines(lines * 8)}>{bytes(data.length - lines * 16)} {texts.more}</button>}
    </>
  );
}

function Image({ section }: { section: Section }) {
  const [url, setUrl] = useState("");
  const { body = "", mimeType = "" } = section;
  useEffect(() => {
    if (!IMAGES.has(mimeType)) return;
    const made = URL.createObjectURL(new Blob([fromBase64(body) as BlobPart], { type: mimeType }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [body, mimeType]);
  if (!IMAGES.has(mimeType)) return <p class="bad">{mimeType || texts.anUnknownType} {texts.isNotShownAs}</p>;
  return url ? <p class="image"><img src={url} alt={section.title || texts.imageFromTheTraffic} /></p> : null;
}

function Timeline({ section }: { section: Section }) {
  const points = section.points ?? [];
  const [limit, setLimit] = useState(TABLE_ROWS);
  const end = points.reduce((latest, point) => Math.max(latest, point.t), 1);
  if (!points.length) return <p class="dim">{texts.empty}</p>;
  return (
    <>
    <ol class="points">
      {points.slice(0, limit).map((point, i) => (
        <li key={i}>
          <span class="point-time">{latency(point.t / 1000) || "0"}</span>
          <svg class="point-track" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect x="0" y="1" width={(point.t / end) * 100} height="2" /></svg>
          <span title={point.direction && texts.byThe(point.direction)}>{ARROWS[point.direction] ?? ""} {point.label}</span>
        </li>
      ))}
    </ol>
    {points.length > limit && <button type="button" class="small" onClick={() => setLimit(limit + 5 * TABLE_ROWS)}>{count(points.length - limit)} {texts.morePoints}</button>}
    </>
  );
}
