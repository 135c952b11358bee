"""LDAP over TCP and CLDAP over UDP (RFC 4511, RFC 1798, [MS-ADTS]), by port, or anywhere by strict content.

A search's entries and references become one response with its result. Behind SASL's security layer only the sizes of
buffers are known, unless the layer merely signs. What follows StartTLS is handed to TLS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from msgspec import Struct, field

from kubeshark.extension_api import (
    Classifier,
    Handover,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
    rest_of,
)
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.access._ber import BadBer
from kubeshark.pipeline.dissectors.access._ldap_document import request_detail, response_detail, wrapped_detail
from kubeshark.pipeline.dissectors.access._ldap_message import (
    find_message,
    is_tls,
    read_message,
    request_fields,
    result_name,
    result_of,
)
from kubeshark.pipeline.dissectors.access._ldap_names import REQUESTS, RESPONSES
from kubeshark.pipeline.dissectors.access._ldap_sasl import PREFIX_BYTES, begins_buffer, unwrap

__all__ = ["LDAP", "dissect", "probe", "protocols"]

PORTS = (389, 3268)  # 3268: Active Directory's global catalogue
PROBE_BYTES = 64

LDAP = ProtocolSpec(
    name="ldap",
    abbr="LDAP",
    long_name="Lightweight Directory Access Protocol",
    version="3",
    ports=(389,),
    priority=7,
    hands_over=("tlsx",),
    background="#0f766e",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc4511",
    matcher="key",
    classifiers=(Classifier("tcp", PORTS), Classifier("udp", PORTS)),
    variables={
        "ldap_type": "string",
        "ldap_summary": "string",
        "ldap_dn": "string",
        "ldap_result": "int",
        "ldap_result_name": "string",
        "ldap_scope": "string",
        "ldap_filter": "string",
        "ldap_entries": "int",
        "ldap_message_id": "int",
        "ldap_request": "bool",
        "ldap_response": "bool",
        "ldap_request_length": "int",
        "ldap_response_length": "int",
        "ldap_total_size": "int",
        "status_code": "int",
    },
)

ENTRY, DONE, REFERENCE, INTERMEDIATE = 0x64, 0x65, 0x73, 0x79
PARTIAL = (ENTRY, REFERENCE, INTERMEDIATE)
ONE_WAY = ("unbind", "abandon")
MAX_OPEN = 1_024  # searches of one connection whose results have not ended


def _is_ldap(stream: Stream) -> bool:
    is_known_port = stream.server.port in PORTS or stream.client.port in PORTS
    if stream.transport == "udp":
        return any(_begins_with_message(bytes(packet.data[:PROBE_BYTES])) for packet in stream.datagrams[:2])
    return stream.transport == "tcp" and any(_is_ldap_side(side, is_known_port) for side in stream.sides)


def _is_ldap_side(side: StreamSide, is_known_port: bool) -> bool:
    head = bytes(side.data[:PROBE_BYTES])
    if _begins_with_message(head):
        return True
    if not is_known_port:
        return False
    if begins_buffer(head):
        return True
    if not side.starts_midway and not side.gaps:
        return False
    data = bytes(side.data[: 64 << 10])
    return find_message(data, 0) < len(data)


def _begins_with_message(head: bytes) -> bool:
    if not head.startswith(b"\x30"):
        return False
    try:
        return read_message(head, 0, len(head)) is not None
    except BadBer:
        return False


class _Part(Struct):
    """A message found, and where it lies on the wire."""

    start: int
    end: int
    data: bytes  # the message alone
    error: str = ""


class _Gathered(Struct):
    """Entries of a search whose result has not come yet."""

    start: int
    parts: list[bytes] = field(default_factory=list)
    count: int = 0
    end: int = 0


class _Reader:
    """Splits what one side sent into messages; `tls_at` is where TLS begins, if it does."""

    def __init__(self, side: StreamSide) -> None:
        self._wire = Wire(side)
        self._clear = bytearray()  # out of signed buffers: the beginning of a message
        self._needed = 0  # its bytes, as far as known: before they are there nobody looks at it again
        self.tls_at: int | None = None

    def __iter__(self) -> Iterator[_Part | Message]:
        """Yield messages, and events for what is none. Direction is the caller's to set."""
        wire, data, at = self._wire, self._wire.data, 0
        if wire.starts_midway and not (_begins_with_message(data[:PROBE_BYTES]) or begins_buffer(data[:8])):
            at = find_message(data, 0)
        while at < len(data):
            if gap := wire.gap_in(at, at + 1):
                at = find_message(data, gap[1])
                continue
            if is_tls(data, at):
                self.tls_at = at
                return
            if begins_buffer(data[at : at + 8]):
                end = wire.after(at + PREFIX_BYTES, int.from_bytes(data[at : at + PREFIX_BYTES], "big"))
                yield from self._buffer(at, min(end, len(data)), end)
                at = end
                continue
            try:
                pdu = read_message(data, at, len(data))
            except BadBer as bad:
                start, at = at, find_message(data, at + 1)
                yield _event(start, at, f"malformed: {bad}")
                continue
            end = wire.after(at, pdu.end - at) if pdu else len(data) + 1
            shown = min(end, len(data))
            error = f"truncated: only {len(data) - at} bytes were captured" if end > len(data) else ""
            if gap := wire.gap_in(at, shown):
                error = f"gap: {gap[2]} bytes missing at {gap[0]}"
            yield _Part(at, shown, data[at:shown], error)
            at = end

    def _buffer(self, start: int, end: int, whole_end: int) -> Iterator[_Part | Message]:
        """Yield the messages of one SASL buffer; what is left begins the next one's first message."""
        token = self._wire.data[start + PREFIX_BYTES : end]
        if whole_end > end or self._wire.gap_in(start, end):
            self._clear.clear()
            self._needed = 0
            yield _event(start, end, "truncated: a SASL buffer that was not captured whole")
            return
        wrapped = unwrap(token)
        if not wrapped.clear:
            message = _event(start, end, "")
            message.fields = {"ldap_type": "sasl", "ldap_summary": f"encrypted by {wrapped.mechanism}"}
            message.detail = partial(wrapped_detail, wrapped.mechanism, end - start - PREFIX_BYTES)
            yield message
            return
        self._clear += wrapped.clear
        if len(self._clear) < self._needed:
            return
        clear, at = bytes(self._clear), 0
        self._needed = 0
        while at < len(clear):
            try:
                pdu = read_message(clear, at, len(clear))
            except BadBer as error:
                self._clear.clear()
                yield _event(start, end, f"malformed: {error}")
                return
            if pdu is None or pdu.end > len(clear):
                self._needed = pdu.end - at if pdu else 0
                break
            yield _Part(start, end, clear[at : pdu.end])
            at = pdu.end
        del self._clear[:at]


def _event(start: int, end: int, error: str) -> Message:
    return Message(MessageKind.EVENT, 0, start, end, error=error)


def _tcp(stream: Stream) -> list[Message | Handover]:
    found: list[Message | Handover] = []
    readers = [_Reader(side) for side in stream.sides]
    for direction, reader in enumerate(readers):
        found += _messages(reader, direction)
    if any(reader.tls_at is not None for reader in readers):
        client, server = (
            rest_of(side, len(side.data) if reader.tls_at is None else reader.tls_at)
            for side, reader in zip(stream.sides, readers, strict=True)
        )
        found.append(Handover((client, server), protocol="tlsx"))
    return found


def _udp(stream: Stream) -> list[Message | Handover]:
    """A datagram holds whole messages: a request, or a result with its entries (RFC 1798 §3)."""
    found: list[Message | Handover] = []
    for index, datagram in enumerate(stream.datagrams):
        data = bytes(datagram.data)
        for message in _messages(_split(data, cut=datagram.cut), datagram.direction):
            message.datagram = index
            found.append(message)
    return found


def _split(data: bytes, *, cut: bool) -> Iterator[_Part | Message]:
    at = 0
    while at < len(data):
        try:
            pdu = read_message(data, at, len(data))
        except BadBer as error:
            yield _event(at, len(data), f"malformed: {error}")
            return
        end = min(pdu.end, len(data)) if pdu else len(data)
        is_short = pdu is None or pdu.end > len(data)
        word = "truncated" if cut else "malformed"
        yield _Part(at, end, data[at:end], f"{word}: only {end - at} bytes were there" if is_short else "")
        at = end


def _messages(parts: _Reader | Iterator[_Part | Message], direction: int) -> Iterator[Message]:
    """Make messages of one side's parts: a search's entries wait for its result."""
    waiting: dict[int, _Gathered] = {}
    for part in parts:
        if isinstance(part, Message):
            part.direction = direction
            yield part
            continue
        pdu = read_message(part.data, 0, len(part.data))  # cannot fail: the reader found it so
        if pdu is None:
            yield Message(MessageKind.EVENT, direction, part.start, part.end, error=part.error)
        elif pdu.operation.tag in REQUESTS:
            yield _request(part, direction)
        elif pdu.operation.tag in PARTIAL and (pdu.message_id in waiting or len(waiting) < MAX_OPEN):
            gathered = waiting.setdefault(pdu.message_id, _Gathered(part.start))
            gathered.parts.append(part.data)
            gathered.count += pdu.operation.tag == ENTRY
            gathered.end = part.end
            if part.error:
                yield _response(waiting.pop(pdu.message_id), pdu.message_id, direction, part.error)
        else:
            gathered = waiting.pop(pdu.message_id, _Gathered(part.start))
            gathered.parts.append(part.data)
            gathered.end = part.end
            yield _response(gathered, pdu.message_id, direction, part.error)
    for message_id, gathered in waiting.items():
        yield _response(gathered, message_id, direction, "truncated: the search's result was not captured")


def _request(part: _Part, direction: int) -> Message:
    pdu = read_message(part.data, 0, len(part.data))
    assert pdu is not None
    kind = REQUESTS[pdu.operation.tag]
    fields: dict[str, Value] = {
        "ldap_type": kind,
        "ldap_message_id": pdu.message_id,
        "ldap_request": True,
        "ldap_request_length": part.end - part.start,
    }
    error = part.error
    try:
        fields |= request_fields(part.data, pdu.operation)
    except BadBer as bad:
        error = error or f"malformed: {bad}"
    return Message(
        MessageKind.REQUEST,
        direction,
        part.start,
        part.end,
        fields=fields,
        key=str(pdu.message_id),
        one_way=kind in ONE_WAY,
        error=error,
        detail=partial(request_detail, part.data),
    )


def _response(gathered: _Gathered, message_id: int, direction: int, error: str) -> Message:
    data = gathered.parts[-1]
    pdu = read_message(data, 0, len(data))
    assert pdu is not None
    tag = pdu.operation.tag
    fields: dict[str, Value] = {
        "ldap_type": RESPONSES[tag],
        "ldap_message_id": message_id,
        "ldap_response": True,
        "ldap_response_length": gathered.end - gathered.start,
    }
    if gathered.count or tag == DONE:
        fields["ldap_entries"] = gathered.count
    if tag not in PARTIAL:
        try:
            result = result_of(data, pdu.operation)
        except BadBer as bad:
            error = error or f"malformed: {bad}"
        else:
            fields |= {
                "ldap_result": result.code,
                "status_code": result.code,
                "ldap_result_name": result_name(result.code),
            }
    return Message(
        MessageKind.RESPONSE if message_id else MessageKind.EVENT,  # 0: a notice nobody asked for (RFC 4511 §4.4)
        direction,
        gathered.start,
        gathered.end,
        fields=fields,
        key=str(message_id),
        error=error,
        detail=partial(response_detail, gathered.parts, gathered.count),
    )


def _dissect(stream: Stream) -> Iterable[Message | Handover]:
    return _tcp(stream) if stream.transport == "tcp" else _udp(stream)


protocols, probe, dissect = one_protocol(LDAP, _is_ldap, _dissect)
