/** A connection's payload in order, both directions. */

import { useEffect, useState } from "preact/hooks";
import { api } from "../core/api";
import { fromBase64, hexLines, loosely } from "../core/bytes";
import { bytes, count } from "../core/format";
import type { Stream } from "../core/types";
import { texts } from "../text/follow";

const PIECES = 200;
const CUT = 16 * 1024;

export function Follow({ id }: { id: string }) {
  const [stream, setStream] = useState<Stream | null>(null);
  const [error, setError] = useState("");
  const [isHex, setHex] = useState(false);
  const [limit, setLimit] = useState(PIECES);
  useEffect(() => {
    let isCurrent = true;
    setStream(null);
    setError("");
    api.stream(id).then((found) => { if (isCurrent) setStream(found); }, (failed: Error) => { if (isCurrent) setError(failed.message); });
    return () => { isCurrent = false; };
  }, [id]);
  if (error) return <p class="bad">{error}</p>;
  if (!stream) return <p class="dim">{texts.readingTheConnection}</p>;
  const total = stream.pieces.reduce((sum, piece) => sum + (piece.data.length * 3) / 4, 0);
  return (
    <>
      <div class="body-tools">
        <div class="segmented" role="group" aria-label={texts.formOfTheStream}>
          <button type="button" aria-pressed={!isHex} onClick={() => setHex(false)}>{texts.text}</button>
          <button type="button" aria-pressed={isHex} onClick={() => setHex(true)}>{texts.hex}</button>
        </div>
        <span class="dim">{count(stream.pieces.length)} {texts.pieces} {bytes(Math.round(total))}{stream.decrypted && texts.decrypted}</span>
      </div>
      <ol class="follow">
        {stream.pieces.slice(0, limit).map((piece, i) => {
          const isClient = !piece.from_server;
          const data = fromBase64(piece.data);
          return (
            <li key={i} data-side={isClient ? "client" : "server"}>
              <span class="follow-side">{isClient ? texts.client : texts.server} <span class="dim">{bytes(data.length)}</span></span>
              <pre>{isHex ? hexLines(data, 0, CUT / 16).map((line) => `${line.offset}  ${line.bytes.join(" ").padEnd(48)} ${line.text}`).join("\n") : loosely(data.subarray(0, CUT))}</pre>
              {data.length > CUT && <span class="dim">{bytes(data.length - CUT)} {texts.moreDownloadTheConnection}</span>}
            </li>
          );
        })}
      </ol>
      {!stream.complete && <p class="dim">{texts.onlyItsBeginningDownload}</p>}
      {stream.pieces.length > limit && <button type="button" class="small" onClick={() => setLimit(limit + 5 * PIECES)}>{count(stream.pieces.length - limit)} {texts.morePieces}</button>}
    </>
  );
}
