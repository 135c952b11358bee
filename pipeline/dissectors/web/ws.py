"""WebSocket, behind the upgrade that HTTP hands over (RFC 6455), with permessage-deflate (RFC 7692).

Every message is an entry of its own, one way: a question and its answer have nothing that joins them. Which extensions
were agreed on stands in the upgrade; it is not needed: of the registered ones only permessage-deflate sets RSV1, and
one inflater a direction reads both of its modes (a sender that starts afresh refers to nothing before).
What messages carry may be a protocol of its own: it is handed over where its first bytes leave no doubt.
"""

from __future__ import annotations

import base64
import codecs
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from msgspec import Struct, field

from kubeshark.extension_api import (
    Handover,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
)
from kubeshark.pipeline.dissectors._carve import carve
from kubeshark.pipeline.dissectors._columns import Column, Columns, always, numbers
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.web._http_body import BODY_LIMIT, text_or_base64
from kubeshark.pipeline.dissectors.web._ws_frames import Frame, Opcode, is_sure, read_frames, unmask

__all__ = ["COLUMNS", "WS", "dissect", "probe", "protocols"]

WS = ProtocolSpec(
    name="ws",
    abbr="WS",
    long_name="WebSocket",
    version="13",
    priority=1,
    background="#7c3aed",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc6455",
    matcher="none",
    hands_over=("mqtt", "nats", "amqp"),
    variables={
        "ws_opcode": "string",
        "ws_request": "bool",
        "ws_response": "bool",
        "ws_request_payload_data": "string",
        "ws_request_payload_length": "int",
        "ws_response_payload_length": "int",
        "status_code": "int",
        "request_body": "string",
        "request_body_truncated": "bool",
        "response_body": "string",
        "response_body_truncated": "bool",
    },
)

EITHER = ("request", "response")
COLUMNS: Columns = {
    "ws_opcode": Column(numbers(1, lambda code: Opcode(code).name.lower()), EITHER),
    "ws_request": Column(always(True)),
    "ws_response": Column(always(True), ("response",)),
    "ws_request_payload_length": Column(numbers(2)),
    "ws_response_payload_length": Column(numbers(2), ("response",)),
    "status_code": Column(numbers(0), EITHER),
}
"""What the scanner (scan_ws.c, behind scan_http1.c) knows."""

CARRIED = (
    (0, re.compile(rb"\x10[\x80-\xff]{0,3}[\x00-\x7f]\0(?:\x04MQTT|\x06MQIsdp)"), "mqtt"),  # CONNECT
    (0, re.compile(rb"AMQP[\0-\x03]"), "amqp"),
    (1, re.compile(rb"INFO \{"), "nats"),
)
"""(which side, how what it says begins, flag of the protocol)."""
SIGNATURE = 16
PROBE_BYTES, PROBE_FRAMES = 64 << 10, 16
FIRST_BYTES = tuple(bytes((byte,)) for byte in b"\x81\x82\x88\x89\x8a\xc1\xc2")
"""What a message in one frame begins with."""
SHOWN_TEXT = 4096
"""Characters of `ws_request_payload_data`; the whole text is in `request_body`."""
MAX_INFLATED = 16 << 20
"""Bytes one message may inflate to before its direction is given up: the next ones may refer to any of them."""
KEPT = 4 << 20
"""Bytes of inflated messages kept of one direction."""
BLOCK, MAX_STARTS = 64, 64
"""Messages of a block at least, and decoders kept at most: one is about 50 KB."""
TAIL = b"\0\0\xff\xff"  # RFC 7692 §7.2.2


def _is_middle(stream: Stream) -> bool:
    """Look at the middle alone: an upgrade proves it, and hands over.

    Without it two bytes of header prove nothing, but chains of frames do.
    """
    if stream.transport != "tcp" or not any(side.starts_midway for side in stream.sides):
        return False
    client, server = (bytes(side.data[:PROBE_BYTES]) for side in stream.sides)
    return (
        client[:1] in FIRST_BYTES
        and is_sure(client, 0, is_masked=True)
        and (not server or (server[:1] in FIRST_BYTES and is_sure(server, 0, is_masked=False)))
        and _says_something(Wire(stream.sides[0]))
    )


def _says_something(wire: Wire) -> bool:
    """Say whether there is text, and all of it is: control frames alone prove little and show nothing."""
    texts = [frame for frame in islice(read_frames(wire, is_masked=True), PROBE_FRAMES) if frame.opcode == Opcode.TEXT]
    try:
        for frame in texts:
            if frame.is_final and not frame.is_compressed and not frame.error:
                unmask(wire.data[frame.payload : frame.end], frame.mask).decode()
    except UnicodeDecodeError:
        return False
    return bool(texts)


def _dissect(stream: Stream) -> list[Message | Handover]:
    found: list[Message | Handover] = []
    carried = []
    for way, side in enumerate(stream.sides):
        wire = Wire(side)
        joined = _read_side(wire, is_masked=way == 0)
        inflater = _Inflater(wire, [message for message in joined if message.is_compressed])
        for place, message in enumerate(inflater.messages):
            message.place = place
        found += [_message(message, inflater, way) for message in joined]
        carried.append((side, wire, [message for message in joined if message.opcode < Opcode.CLOSE]))
    for way, begins, protocol in CARRIED:
        _, wire, messages = carried[way]
        if messages and not messages[0].is_compressed and begins.match(_joined(wire, messages[0], SIGNATURE)):
            client, server = (_carve(*one) for one in carried)
            return [*found, Handover((client, server), protocol)]
    return found


def _carve(side: StreamSide, wire: Wire, messages: Sequence[_Joined]) -> StreamSide:
    frames = [frame for message in messages if not message.is_compressed for frame in message.frames]
    pieces = ((frame.payload, frame.end, unmask(wire.data[frame.payload : frame.end], frame.mask)) for frame in frames)
    return carve(side, wire, pieces)


class _Joined(Struct):
    """A message: one frame, or the fragments of one (RFC 6455 §5.4)."""

    opcode: int
    frames: list[Frame]
    is_compressed: bool
    error: str = ""
    place: int = -1  # among the compressed messages of its direction


class _Inflater(Struct):
    """The compressed messages of one direction, inflated on demand: each may refer to those before it.

    They are read a block at a time, and where a block begins the decoder is kept: any order of asking is cheap.
    """

    wire: Wire
    messages: list[_Joined]
    _starts: list[tuple[Any, str]] = field(default_factory=lambda: [(None, "")])  # (decoder, damage), one a block
    _block: int = -1
    _found: list[tuple[bytes, str] | None] = field(default_factory=list)  # of this block; None: no room
    _decoder: Any = None
    _damage: str = ""

    def payload(self, message: _Joined) -> tuple[bytes, str]:
        """Return (at most BODY_LIMIT + 1 bytes, why they are not what was sent)."""
        size = max(BLOCK, len(self.messages) // MAX_STARTS + 1)
        block, at = divmod(message.place, size)
        if block != self._block:
            while len(self._starts) <= block:
                self._read(len(self._starts) - 1, size)
            self._found, self._block = self._read(block, size), block
        found = self._found[at]
        if found is None:
            found = self._read(block, size, last=at)[-1]
        assert found is not None
        return found

    def _read(self, block: int, size: int, last: int = -1) -> list[tuple[bytes, str] | None]:
        """Inflate a block, or up to its message `last`, of which the result is always there."""
        decoder, self._damage = self._starts[block]
        self._decoder = decoder.copy() if decoder else None
        found: list[tuple[bytes, str] | None] = []
        room = KEPT
        for at, message in enumerate(self.messages[block * size : (block + 1) * size]):
            data = self._inflate(message)
            room -= len(data)
            found.append((data, self._damage) if room >= 0 or at == last else None)
            if at == last:
                return found
        if len(self._starts) == block + 1:
            self._starts.append((self._decoder.copy() if self._decoder else None, self._damage))
        return found

    def _inflate(self, message: _Joined) -> bytes:
        if message.error:
            self._damage = self._damage or "permessage-deflate: a message before was not captured whole"
        if self._decoder is None:
            self._decoder = zlib.decompressobj(-15)
        data, result, total = _joined(self.wire, message) + TAIL, b"", 0
        try:
            while data:
                piece = self._decoder.decompress(data, BODY_LIMIT + 1)
                result += piece[: BODY_LIMIT + 1 - len(result)]
                total += len(piece)
                data = self._decoder.unconsumed_tail
                if self._decoder.eof:  # the sender ended its stream (BFINAL): the next message starts a new one
                    self._decoder = zlib.decompressobj(-15)
                    break
                if total > MAX_INFLATED:
                    self._damage = f"permessage-deflate: a message longer than {MAX_INFLATED} bytes"
                    self._decoder = None
                    break
        except zlib.error as error:
            self._damage, self._decoder = f"permessage-deflate: {error}", None
        return result


def _read_side(wire: Wire, *, is_masked: bool) -> list[_Joined]:
    """Return the messages of a side, in the order of their ends."""
    messages: list[_Joined] = []
    latest: _Joined | None = None
    for frame in read_frames(wire, is_masked=is_masked):
        if frame.opcode >= Opcode.CLOSE:  # control frames may stand between fragments
            messages.append(_Joined(frame.opcode, [frame], False, frame.error))
            continue
        if frame.opcode != Opcode.CONTINUATION or frame.lost:
            if latest:
                latest.error = latest.error or "truncated: the last fragment is missing"
                messages.append(latest)
            latest = _Joined(frame.opcode, [], frame.is_compressed, frame.error)
            if frame.opcode == Opcode.CONTINUATION:
                latest.error = "gap: the first fragment is missing"
        elif latest is None:
            latest = _Joined(frame.opcode, [], False, frame.error or "malformed: the continuation of nothing")
        latest.frames.append(frame)
        latest.error = latest.error or frame.error
        if frame.is_final:
            messages.append(latest)
            latest = None
    if latest:
        latest.error = latest.error or "truncated: the last fragment was not captured"
        messages.append(latest)
    return messages


def _message(joined: _Joined, inflater: _Inflater, direction: int) -> Message:
    first, last = joined.frames[0], joined.frames[-1]
    length = sum(frame.length for frame in joined.frames)
    half = "request" if direction == 0 else "response"
    fields: dict[str, Value] = {
        "ws_opcode": Opcode(joined.opcode).name.lower(),
        f"ws_{half}": True,
        f"ws_{half}_payload_length": length,
    }
    if joined.opcode == Opcode.CLOSE and length >= 2:
        fields["status_code"] = int.from_bytes(_joined(inflater.wire, joined)[:2], "big")
    return Message(
        MessageKind.REQUEST if direction == 0 else MessageKind.RESPONSE,
        direction,
        first.start,
        last.end,
        fields=fields,
        one_way=True,
        error=joined.error,
        detail=partial(_detail, joined, inflater, half, length),
    )


def _joined(wire: Wire, joined: _Joined, limit: int = MAX_INFLATED) -> bytes:
    """Return the payload as it was sent, without masks, at most `limit` bytes."""
    result = bytearray()
    for frame in joined.frames:
        end = min(frame.end, frame.payload + limit - len(result))
        result += unmask(wire.data[frame.payload : end], frame.mask)
        if len(result) >= limit:
            break
    return bytes(result)


def _detail(
    joined: _Joined, inflater: _Inflater, half: str, length: int
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    if joined.is_compressed:
        data, comment = inflater.payload(joined)
    else:
        data, comment = _joined(inflater.wire, joined)[: BODY_LIMIT + 1], ""
    is_cut = len(data) > BODY_LIMIT
    data = data[:BODY_LIMIT]
    frame = joined.frames[0]
    document: dict[str, Any] = {
        "opcode": Opcode(joined.opcode).name.lower(),
        "payload": "",
        "payloadLength": length,
        "masked": frame.mask != b"",
        "fin": joined.frames[-1].is_final,
        "fragments": len(joined.frames),
        "compressed": joined.is_compressed,
    }
    if joined.opcode == Opcode.CLOSE and len(data) >= 2:
        document["closeCode"] = int.from_bytes(data[:2], "big")
        document["closeReason"] = data[2:].decode("utf-8", "replace")
        data = data[2:]
    if joined.opcode == Opcode.BINARY:
        document["payload"], document["encoding"] = base64.b64encode(data).decode("ascii"), "base64"
    else:
        document["payload"], encoding = text_or_base64(data, is_cut=is_cut)
        if encoding:
            document["encoding"] = encoding
    if comment:
        document["comment"] = comment
    if is_cut:
        document["bodyTruncated"] = True
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(data, final=not is_cut)
    variables: dict[str, Value] = {f"{half}_body": text, f"{half}_body_truncated": is_cut}
    if half == "request":
        variables["ws_request_payload_data"] = text[:SHOWN_TEXT]
    return variables, document


protocols, probe, dissect = one_protocol(WS, _is_middle, _dissect)
