"""Diameter over TCP and SCTP (RFC 6733), by port, or anywhere by strict content.

Either end may ask, so a hop-by-hop identifier pairs only what one side asked with what the other answered. An SCTP
association keeps its packets' entries beside the messages found in its DATA chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from kubeshark.extension_api import (
    Classifier,
    Handover,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
    Verdict,
    hookimpl,
    rest_of,
)
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.access._diameter_message import (
    HEADER_BYTES,
    Avp,
    Header,
    avps,
    detail,
    read_header,
    shown,
)
from kubeshark.pipeline.dissectors.access._diameter_names import (
    APPLICATIONS,
    AVPS,
    COMMANDS,
    EXPERIMENTAL_RESULTS,
    RESULTS,
)
from kubeshark.pipeline.dissectors.network import raw
from kubeshark.pipeline.dissectors.network._sctp_messages import data_chunks, user_messages

__all__ = ["DIAMETER", "dissect", "probe", "protocols"]

PORTS = (3868,)
PROBE_BYTES = 64
PROBED_DATAGRAMS = 32  # an association begins with packets that hold no data
PPIDS = (46, 0)  # RFC 6733 §9; 0: not said

DIAMETER = ProtocolSpec(
    name="diameter",
    abbr="DIAMETER",
    long_name="Diameter",
    version="1",
    ports=PORTS,
    priority=7,
    background="#4338ca",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc6733",
    matcher="key",
    classifiers=(Classifier("tcp", PORTS), Classifier("sctp", PORTS)),
    variables={
        "diameter_method": "string",
        "diameter_summary": "string",
        "diameter_command_code": "int",
        "diameter_application_id": "int",
        "diameter_application": "string",
        "diameter_result_code": "int",
        "diameter_result_name": "string",
        "diameter_session_id": "string",
        "diameter_origin_host": "string",
        "diameter_destination_host": "string",
        "diameter_username": "string",
        "diameter_request": "bool",
        "diameter_response": "bool",
        "diameter_request_length": "int",
        "diameter_response_length": "int",
        "diameter_total_size": "int",
        "status_code": "int",
    },
    hands_over=("tlsx",),
)
SCTP = raw.RAW["sctp"]

_USER_NAME, _SESSION_ID, _ORIGIN_HOST, _DESTINATION_HOST = 1, 263, 264, 293
_RESULT, _EXPERIMENTAL, _EXPERIMENTAL_CODE = 268, 297, 298
_FIELDS = {
    _USER_NAME: "diameter_username",
    _SESSION_ID: "diameter_session_id",
    _ORIGIN_HOST: "diameter_origin_host",
    _DESTINATION_HOST: "diameter_destination_host",
}


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return (DIAMETER, SCTP)


@hookimpl
def probe(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:
    is_ours = protocol.flag == DIAMETER.flag
    return [Verdict.MINE if is_ours and _is_diameter(stream) else Verdict.NOT_MINE for stream in streams]


@hookimpl
def dissect(
    protocol: ProtocolSpec,  # noqa: ARG001
    streams: Sequence[Stream],
) -> Sequence[Sequence[Message | Handover]]:
    return [_tcp(stream) if stream.transport == "tcp" else list(_sctp(stream)) for stream in streams]


def _is_diameter(stream: Stream) -> bool:
    is_known_port = stream.server.port in PORTS or stream.client.port in PORTS
    if stream.transport == "tcp":
        return any(_begins_with_message(side, is_known_port) for side in stream.sides)
    if stream.transport != "sctp":
        return False
    for datagram in stream.datagrams[:PROBED_DATAGRAMS]:
        for chunk in data_chunks(bytes(datagram.data)):
            return chunk.ppid in PPIDS and _is_message(chunk.payload, strict=chunk.ppid == 0 and not is_known_port)
    return False


def _begins_with_message(side: StreamSide, is_known_port: bool) -> bool:
    if not len(side.data) or (side.data[0] != 1 and not is_known_port):
        return False
    if _is_message(bytes(side.data[:PROBE_BYTES]), strict=not is_known_port):
        return True
    if not is_known_port or not (side.starts_midway or side.gaps):
        return False
    head = bytes(side.data[: 64 << 10])
    return _find_message(head, 0) < len(head)


def _is_message(head: bytes, *, strict: bool) -> bool:
    """Say whether a message begins here; if strict, with a command and a first AVP that we know."""
    header = read_header(head, 0)
    if header is None:
        return False
    if header.length > HEADER_BYTES and len(head) >= HEADER_BYTES + 8:
        code, flags = int.from_bytes(head[20:24], "big"), head[24]
        length = int.from_bytes(head[25:28], "big")
        if flags & 0x1F or not 8 <= length <= header.length - HEADER_BYTES:
            return False
        return not strict or (header.command in COMMANDS and (0, code) in AVPS)
    return not strict


def _find_message(data: bytes, at: int) -> int:
    """Return the offset of the next certain message, else the end."""
    while (at := data.find(b"\x01", at)) >= 0:
        if _is_message(data[at : at + PROBE_BYTES], strict=True):
            return at
        at += 1
    return len(data)


def _tcp(stream: Stream) -> list[Message | Handover]:
    found: list[Message | Handover] = []
    ends = []
    for direction, side in enumerate(stream.sides):
        wire = Wire(side)
        end = len(wire.data)
        for item in _side_messages(wire, direction):
            if isinstance(item, int):
                end = item
            else:
                found.append(item)
        ends.append(end)
    if any(end < len(side.data) for end, side in zip(ends, stream.sides, strict=True)):
        client, server = (rest_of(side, end) for side, end in zip(stream.sides, ends, strict=True))
        found.append(Handover((client, server), protocol="tlsx"))
    return found


def _side_messages(wire: Wire, direction: int) -> Iterator[Message | int]:
    """Yield the messages of one side, and where TLS begins (RFC 3588 §13.1), if it does."""
    data, at = wire.data, 0
    if wire.starts_midway and not _is_message(data[:PROBE_BYTES], strict=False):
        at = _find_message(data, 0)
    while at < len(data):
        if gap := wire.gap_in(at, at + 1):
            at = _find_message(data, gap[1])
            continue
        if data[at : at + 2] == b"\x16\x03":
            yield at
            return
        header = read_header(data, at)
        if header is None:
            start = at
            at = _find_message(data, at + 1)
            is_cut = len(data) - start < HEADER_BYTES
            error = (
                f"truncated: only {at - start} bytes were captured" if is_cut else f"malformed: no message at {start}"
            )
            yield Message(MessageKind.EVENT, direction, start, at, error=error)
            continue
        end = wire.after(at, header.length)
        shown_end = min(end, len(data))
        message = _message(data[at:shown_end], header, direction)
        message.start, message.end = at, shown_end
        if gap := wire.gap_in(at, shown_end):
            message.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
        yield message
        at = shown_end


def _sctp(stream: Stream) -> Iterator[Message]:
    for message in raw.dissect(protocol=SCTP, streams=[stream])[0]:
        yield replace(message, protocol=SCTP.flag)
    for whole in user_messages(stream.datagrams):
        header = read_header(whole.payload, 0)
        if header is None:
            continue  # another protocol on the same association: its chunk is shown
        message = _message(whole.payload, header, whole.direction)
        message.start, message.end, message.datagram = whole.start, whole.end, whole.datagram
        yield message


def _message(data: bytes, header: Header, direction: int) -> Message:
    """Make a message of its bytes; the caller says where they lie."""
    listed = list(avps(data, HEADER_BYTES, min(header.length, len(data))))
    known = [avp for avp in listed if avp is not None]
    half = "request" if header.is_request else "response"
    application = APPLICATIONS.get(header.application, str(header.application))
    fields: dict[str, Value] = {
        "diameter_method": header.method,
        "diameter_command_code": header.command,
        "diameter_application_id": header.application,
        "diameter_application": application,
        f"diameter_{half}": True,
        f"diameter_{half}_length": header.length,
    }
    result = 0
    for avp in known:
        if avp.vendor:
            continue
        if avp.code in _FIELDS:
            fields.setdefault(_FIELDS[avp.code], shown(avp))
        elif avp.code in (_RESULT, _EXPERIMENTAL):
            result, name = _result(avp)
            fields |= {"diameter_result_code": result, "status_code": result, "diameter_result_name": name}
    fields["diameter_summary"] = fields.get("diameter_session_id") or fields.get("diameter_origin_host") or application
    error = ""
    if header.length > len(data):
        error = f"truncated: only {len(data)} bytes of {header.length} were captured"
    elif None in listed:
        error = f"malformed: AVP {len(known)} does not fit"
    asked_by = direction if header.is_request else 1 - direction
    return Message(
        MessageKind.REQUEST if header.is_request else MessageKind.RESPONSE,
        direction,
        0,
        len(data),
        fields=fields,
        key=f"{header.hop_by_hop:#010x}" + ("", " from server")[asked_by],
        error=error,
        detail=partial(detail, data, header, result),
    )


def _result(avp: Avp) -> tuple[int, str]:
    if avp.code == _RESULT and len(avp.value) == 4:
        code = int.from_bytes(avp.value, "big")
        return code, RESULTS.get(code, str(code))
    for inner in avps(avp.value, 0, len(avp.value)):
        if inner is not None and inner.code == _EXPERIMENTAL_CODE and len(inner.value) == 4:
            code = int.from_bytes(inner.value, "big")
            return code, EXPERIMENTAL_RESULTS.get(code, str(code))
    return 0, ""
