/** The packets of an entry, or of its whole connection: a page of them at a time, one in bytes. */

import { useEffect, useState } from "preact/hooks";
import { api } from "../core/api";
import { bytes, count, latency, moment, tcpFlags } from "../core/format";
import { zone } from "../core/state";
import type { Packet } from "../core/types";
import { Hex } from "./sections";
import { texts } from "../text/packets";

const PAGE = 500;

export function Packets({ id, transport }: { id: string; transport: string }) {
  const [packets, setPackets] = useState<readonly Packet[]>([]);
  const [isAll, setAll] = useState(false);
  const [error, setError] = useState("");
  const [isOwn, setOwn] = useState(true);
  const [open, setOpen] = useState(-1);
  const load = (first: number): void => {
    api.packets(id, first, PAGE).then((found) => {
      setPackets((before) => [...before.slice(0, first), ...found]);
      setAll(found.length < PAGE);
    }, (failed: Error) => setError(failed.message));
  };
  useEffect(() => load(0), []);
  if (error) return <p class="bad" role="alert">{error}</p>;
  if (!packets.length) return <p class="dim">{isAll ? texts.noPacketOfIt : texts.readingTheConnection}</p>;
  const rows = packets.filter((packet) => packet.of_entry || !isOwn);
  const begin = packets[0]?.time ?? 0;
  const own = packets.filter((packet) => packet.of_entry).length;
  return (
    <>
      <div class="body-tools">
        <div class="segmented" role="group" aria-label={texts.whichPackets}>
          <button type="button" aria-pressed={isOwn} onClick={() => setOwn(true)}>{texts.ofTheEntry}</button>
          <button type="button" aria-pressed={!isOwn} onClick={() => setOwn(false)}>{texts.ofTheConnection}</button>
        </div>
        <span class="dim">{count(own)} {texts.ofTheEntryAmong} {count(packets.length)}{isAll ? "" : texts.readSoFar} · {bytes(rows.reduce((sum, packet) => sum + packet.original, 0))}</span>
      </div>
      <div class="scroll-x" tabIndex={0} role="region" aria-label={texts.packets}>
        <table class="grid packets">
          <thead><tr><th scope="col" class="n">{texts.no}</th><th scope="col">{texts.time}</th><th scope="col" class="n">{texts.after}</th><th scope="col">{texts.sentBy}</th><th scope="col" class="n">{texts.length}</th><th scope="col" class="n">{texts.payload}</th><th scope="col">{transport === "tcp" ? texts.flags : ""}</th></tr></thead>
          <tbody>{rows.map((packet) => <Row key={packet.number} id={id} packet={packet} begin={begin} isTcp={transport === "tcp"} isOpen={open === packet.number} toggle={() => setOpen(open === packet.number ? -1 : packet.number)} />)}</tbody>
        </table>
      </div>
      {!rows.length && <p class="dim">{texts.noneOfTheseThe}</p>}
      {!isAll && <button type="button" class="small" onClick={() => load(packets.length)}>{count(PAGE)} {texts.more}</button>}
    </>
  );
}

function Row({ id, packet, begin, isTcp, isOpen, toggle }: { id: string; packet: Packet; begin: number; isTcp: boolean; isOpen: boolean; toggle: () => void }) {
  const { number, time, captured, original } = packet;
  return (
    <>
      <tr data-own={packet.of_entry || undefined}>
        <td class="n"><button type="button" class="link-button" aria-expanded={isOpen} aria-label={texts.bytesOfPacket(number)} onClick={toggle}>{number}</button></td>
        <td class="mono">{moment(time / 1e6, zone.value)}</td>
        <td class="n">{latency((time - begin) / 1e6) || "0"}</td>
        <td>{packet.from_server ? texts.server : texts.client}</td>
        <td class="n">{original}{captured < original && <span class="warn"> {captured} {texts.captured}</span>}</td>
        <td class="n">{packet.payload_end - packet.payload_start || ""}</td>
        <td>{isTcp && tcpFlags(packet.tcp_flags)}</td>
      </tr>
      {isOpen && <tr><td colSpan={7}><PacketBytes id={id} packet={packet} /></td></tr>}
    </>
  );
}

function PacketBytes({ id, packet }: { id: string; packet: Packet }) {
  const [data, setData] = useState<Uint8Array | null>(null);
  const [error, setError] = useState("");
  useEffect(() => void api.packet(id, packet.number).then(setData, (failed: Error) => setError(failed.message)), []);
  if (error) return <p class="bad" role="alert">{error}</p>;
  if (!data) return <p class="dim">{texts.reading}</p>;
  const ranges = [
    { start: 0, end: packet.payload_start, selector: "", name: "headers" },
    { start: packet.payload_start, end: packet.payload_end, selector: "", name: "payload" },
  ];
  return <Hex data={data} section={{ type: "hex", title: "", ranges }} linked={null} />;
}
