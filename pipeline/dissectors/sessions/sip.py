"""SIP over UDP and TCP (RFC 3261), on any port, known by its start line.

A transaction is found by Call-ID and CSeq, in whichever direction it runs. Provisional answers are interim; what was
sent again belongs to the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from kubeshark.extension_api import (
    Classifier,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
)
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.sessions._sip_message import (
    MAX_BODY,
    START,
    SipMessage,
    address_of,
    find_start,
    is_whole_head,
    read_head,
    request_detail,
    response_detail,
)

__all__ = ["SIP", "dissect", "probe", "protocols"]

PORTS = (5060,)
PROBE_BYTES = 2_560
PROBED_DATAGRAMS = 8
MAX_OPEN = 4_096  # transactions of one stream remembered to tell what was sent again
KEEP_ALIVE = b"\r\n\0 "  # RFC 5626 §4.4.1, and what others send in its place

SIP = ProtocolSpec(
    name="sip",
    abbr="SIP",
    long_name="Session Initiation Protocol",
    version="2.0",
    ports=PORTS,
    layer4="udp",
    priority=8,
    background="#be185d",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc3261",
    matcher="key",
    classifiers=(
        Classifier("udp", PORTS),
        Classifier("tcp", PORTS),
    ),
    variables={
        "sip_method": "string",
        "sip_uri": "string",
        "sip_from": "string",
        "sip_to": "string",
        "sip_call_id": "string",
        "sip_cseq": "string",
        "sip_user_agent": "string",
        "sip_status": "int",
        "sip_reason": "string",
        "sip_request": "bool",
        "sip_response": "bool",
        "sip_request_size": "int",
        "sip_response_size": "int",
        "sip_total_size": "int",
        "status_code": "int",
        "request_body": "string",
        "response_body": "string",
    },
)


def _is_sip(stream: Stream) -> bool:
    if stream.transport == "tcp":
        return any(_begins_with_sip(side) for side in stream.sides)
    is_known_port = stream.server.port in PORTS or stream.client.port in PORTS
    probed = PROBED_DATAGRAMS if is_known_port else 2
    return any(_is_start(datagram.data) for datagram in stream.datagrams[:probed])


def _is_start(view: memoryview) -> bool:
    return bytes(view[:1]).isalpha() and START.match(bytes(view[:PROBE_BYTES])) is not None


def _begins_with_sip(side: StreamSide) -> bool:
    is_midway = bool(side.starts_midway or side.gaps)
    first = bytes(side.data[:1])
    if not is_midway and not first.isalpha() and first not in KEEP_ALIVE:
        return False
    head = bytes(side.data[:PROBE_BYTES]).lstrip(KEEP_ALIVE)
    return START.match(head) is not None or (is_midway and find_start(head, 0) < len(head))


class _Transactions:
    """What was seen of each transaction: a request or a final answer that comes again is marked as such."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, int, int]] = set()

    def mark(self, message: Message, status: int) -> None:
        identity = (message.key, message.direction, status)
        is_again = identity in self._seen
        if len(self._seen) < MAX_OPEN:
            self._seen.add(identity)
        if is_again and message.kind == MessageKind.REQUEST:
            message.one_way = True
        elif is_again:
            message.final = False


def _udp(stream: Stream) -> Iterator[Message]:
    transactions = _Transactions()
    for index, datagram in enumerate(stream.datagrams):
        data = bytes(datagram.data)
        start = len(data) - len(data.lstrip(KEEP_ALIVE))
        if start == len(data):
            continue
        sip = read_head(data, start, len(data))
        if sip is None:
            error = "malformed: no SIP start line"
            yield Message(MessageKind.EVENT, datagram.direction, 0, len(data), datagram=index, error=error)
            continue
        body_start = start + len(sip.head)
        length = len(data) - body_start if sip.length is None else sip.length
        message = _message(sip, data[body_start : body_start + length], datagram.direction, len(data))
        message.datagram = index
        if datagram.cut and body_start + length > len(data):
            message.error = f"truncated: only {len(data)} bytes were captured"
        elif not is_whole_head(sip):
            message.error = "malformed: the headers do not end"
        elif body_start + length > len(data):
            message.error = f"malformed: {len(data) - body_start} bytes of a body of {length}"
        transactions.mark(message, sip.status)
        yield message


def _tcp(stream: Stream) -> Iterator[Message]:
    transactions = _Transactions()
    for direction, side in enumerate(stream.sides):
        for message, status in _side_messages(Wire(side), direction):
            transactions.mark(message, status)
            yield message


def _side_messages(wire: Wire, direction: int) -> Iterator[tuple[Message, int]]:
    """Split one side by Content-Length (RFC 3261 §18.3); behind lost bytes at the next start line."""
    data, at = wire.data, 0
    if wire.starts_midway:
        at = find_start(data, 0)
    while at < len(data):
        if gap := wire.gap_in(at, at + 1):
            at = find_start(data, gap[1])
            continue
        if data[at] in KEEP_ALIVE:
            at += 1
            continue
        sip = read_head(data, at, len(data))
        if sip is None:
            start, at = at, find_start(data, at + 1)
            yield Message(MessageKind.EVENT, direction, start, at, error=f"malformed: no SIP start line at {start}"), 0
            continue
        body_start = at + len(sip.head)
        end = wire.after(body_start, sip.length or 0)
        shown_end = min(end, len(data))
        body = wire.captured(body_start, min(shown_end, body_start + MAX_BODY))
        message = _message(sip, body, direction, shown_end)
        if gap := wire.gap_in(at, shown_end):
            message.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
        elif end > len(data) or not is_whole_head(sip):
            message.error = f"truncated: only {shown_end - at} bytes were captured"
        yield message, sip.status
        at = shown_end


def _message(sip: SipMessage, body: bytes, direction: int, end: int) -> Message:
    """Make a message; UDP's end is that of the datagram."""
    values = sip.values
    half = "request" if sip.method else "response"
    fields: dict[str, Value] = {
        f"sip_{half}": True,
        f"sip_{half}_size": end - sip.start,
        "sip_from": address_of(values.get("from", "")),
        "sip_to": address_of(values.get("to", "")),
        "sip_call_id": values.get("call-id", ""),
        "sip_cseq": values.get("cseq", ""),
    }
    if "user-agent" in values:
        fields["sip_user_agent"] = values["user-agent"]
    if sip.method:
        fields |= {"sip_method": sip.method, "sip_uri": sip.uri}
    else:
        fields |= {"sip_status": sip.status, "status_code": sip.status, "sip_reason": sip.reason}
    return Message(
        MessageKind.REQUEST if sip.method else MessageKind.RESPONSE,
        direction,
        sip.start,
        end,
        fields=fields,
        key=sip.key,
        one_way=sip.method == "ACK",
        final=bool(sip.method) or sip.status >= 200,
        detail=partial(request_detail if sip.method else response_detail, sip, body[:MAX_BODY]),
    )


def _dissect(stream: Stream) -> Iterable[Message]:
    return _tcp(stream) if stream.transport == "tcp" else _udp(stream)


protocols, probe, dissect = one_protocol(SIP, _is_sip, _dissect)
