/** What is exported: the filter, or the marked entries; as packets or as HTTP exchanges. */

import { useState } from "preact/hooks";
import { api, url } from "../core/api";
import { count, moment } from "../core/format";
import { dialog, marks, may, place, say, zone } from "../core/state";
import { traffic } from "../shared";
import { Dialog } from "./dialog";
import { Icon } from "./icon";
import { texts } from "../text/export";

const FORMATS = [
  { name: "pcapng", words: texts.pcapngPacketsAsThey },
  { name: "pcap", words: texts.pcapForToolsThat },
  { name: "har", words: texts.harHttpExchangesWith },
] as const;

export function ExportDialog() {
  const [format, setFormat] = useState<string>(may("raw") ? "pcapng" : "har");
  const [isMarked, setMarked] = useState(false);
  const { kfl, since, until } = place.value;
  const close = (): void => { dialog.value = ""; };
  const range = since || until ? `${since ? moment(Number(since) / 1e6, zone.value) : texts.theBegin} to ${until ? moment(Number(until) / 1e6, zone.value) : texts.theEnd}` : "";
  const save = async (): Promise<void> => {
    close();
    try {
      const blob = await api.exportIds(marks.value, format);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `selection.${format}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    } catch (error) {
      say((error as Error).message, true);
    }
  };
  return (
    <Dialog title={texts.export}>
      <fieldset class="plain">
        <legend>{texts.what}</legend>
        <label class="check"><input type="radio" name="what" checked={!isMarked} onChange={() => setMarked(false)} /> {texts.theConnectionsOfWhat} {kfl ? <code>{kfl}</code> : texts.everything}{range && `, ${range}`} <span class="dim">({count(traffic.count.value)} {texts.entriesShown}</span></label>
        <label class="check">{texts.ofMarked(<input type="radio" name="what" checked={isMarked} disabled={!marks.value.length} onChange={() => setMarked(true)} />, marks.value.length)}</label>
      </fieldset>
      <fieldset class="plain">
        <legend>{texts.as}</legend>
        {FORMATS.map(({ name, words }) => <label key={name} class="check"><input type="radio" name="format" checked={format === name} disabled={name !== "har" && !may("raw")} onChange={() => setFormat(name)} /> {words}</label>)}
        {!may("raw") && <p class="dim">{texts.packetsCannotBeRedacted}</p>}
      </fieldset>
      <p class="buttons">
        {isMarked
          ? <button type="button" class="primary" onClick={() => void save()}><Icon name="download" />{texts.export}</button>
          : <a class="button primary" href={url("export", { kfl, since, until, format })} download={`kubeshark.${format}`} onClick={close}><Icon name="download" />{texts.export}</a>}
        <button type="button" onClick={close}>{texts.cancel}</button>
      </p>
    </Dialog>
  );
}
