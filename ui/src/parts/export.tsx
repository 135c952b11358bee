/** What is exported: the filter, or the marked entries; as packets or as HTTP exchanges. */

import { useState } from "preact/hooks";
import { api, url } from "../core/api";
import { count, moment } from "../core/format";
import { dialog, marks, may, place, say, zone } from "../core/state";
import { traffic } from "../shared";
import { Dialog } from "./dialog";
import { Icon } from "./icon";

const FORMATS = [
  { name: "pcapng", words: "pcapng: packets as they were captured" },
  { name: "pcap", words: "pcap: for tools that know no other" },
  { name: "har", words: "HAR: HTTP exchanges, with secrets hidden" },
] as const;

export function ExportDialog() {
  const [format, setFormat] = useState<string>(may("raw") ? "pcapng" : "har");
  const [isMarked, setMarked] = useState(false);
  const { kfl, since, until } = place.value;
  const close = (): void => { dialog.value = ""; };
  const range = since || until ? `${since ? moment(Number(since) / 1e6, zone.value) : "the begin"} to ${until ? moment(Number(until) / 1e6, zone.value) : "the end"}` : "";
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
    <Dialog title="Export">
      <fieldset class="plain">
        <legend>What</legend>
        <label class="check"><input type="radio" name="what" checked={!isMarked} onChange={() => setMarked(false)} /> The connections of what matches {kfl ? <code>{kfl}</code> : "everything"}{range && `, ${range}`} <span class="dim">({count(traffic.count.value)} entries shown)</span></label>
        <label class="check"><input type="radio" name="what" checked={isMarked} disabled={!marks.value.length} onChange={() => setMarked(true)} /> The connections of the {marks.value.length} marked entries</label>
      </fieldset>
      <fieldset class="plain">
        <legend>As</legend>
        {FORMATS.map(({ name, words }) => <label key={name} class="check"><input type="radio" name="format" checked={format === name} disabled={name !== "har" && !may("raw")} onChange={() => setFormat(name)} /> {words}</label>)}
        {!may("raw") && <p class="dim">Packets cannot be redacted: exporting them needs the right “raw”.</p>}
      </fieldset>
      <p class="buttons">
        {isMarked
          ? <button type="button" class="primary" onClick={() => void save()}><Icon name="download" />Export</button>
          : <a class="button primary" href={url("export", { kfl, since, until, format })} download={`kubeshark.${format}`} onClick={close}><Icon name="download" />Export</a>}
        <button type="button" onClick={close}>Cancel</button>
      </p>
    </Dialog>
  );
}
