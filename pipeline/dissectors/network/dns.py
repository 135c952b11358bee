"""DNS over UDP and TCP, mDNS (RFC 6762) and LLMNR (RFC 4795), by port, or anywhere by strict content."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubeshark.extension_api import (
    Classifier,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
)
from kubeshark.pipeline.dissectors._columns import Column, Columns, numbers, sizes, texts
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.network._dns_message import HEADER_BYTES, DnsMessage, Record, parse_message
from kubeshark.pipeline.dissectors.network._dns_records import (
    OPCODES,
    RCODES,
    TYPES,
    class_name,
    opcode_name,
    rcode_name,
    record_text,
    type_name,
)

__all__ = ["COLUMNS", "DNS", "dissect", "probe", "protocols"]

DNS_PORT = 53
MULTICAST_PORTS = (5353, 5355)  # mDNS, LLMNR
PORTS = (DNS_PORT, *MULTICAST_PORTS)
REQUEST, RESPONSE = MessageKind.REQUEST, MessageKind.RESPONSE
FLAGS = {
    "authoritative": 0x0400,
    "truncated": 0x0200,
    "recursionDesired": 0x0100,
    "recursionAvailable": 0x0080,
    "authenticData": 0x0020,
    "checkingDisabled": 0x0010,
}
"""Bits of a response (RFC 1035 §4.1.1, RFC 4035 §3.1.6, §3.2.2)."""
SECTIONS = ("answers", "authorities", "additionals")
KEPT_BYTES = 512  # of a message that is read once for all that are equal: longer ones are seldom, and would fill memory
NETBIOS_NAMES = 137  # the same format with other meanings (RFC 1002): not DNS
PROBED_DATAGRAMS = 4  # of a stream on a multicast port: resolvers of other kinds use them too
RESYNC_BYTES = 64 << 10  # the longest DNS message: behind a gap the next one starts within

EITHER = ("request", "response")

DNS = ProtocolSpec(
    name="dns",
    abbr="DNS",
    long_name="Domain Name System",
    version="0",
    ports=PORTS,
    layer4="udp",
    priority=4,
    reference="https://www.rfc-editor.org/rfc/rfc1035",
    matcher="key",
    classifiers=(Classifier("udp", PORTS), Classifier("tcp", PORTS)),
    variables={
        "dns_questions": "list",
        "dns_question_types": "list",
        "dns_answers": "list",
        "dns_answer_names": "list",
        "dns_request": "bool",
        "dns_response": "bool",
        "dns_request_length": "int",
        "dns_response_length": "int",
        "dns_total_size": "int",
        "dns_rcode": "string",
        "dns_opcode": "string",
        "dns_truncated": "bool",
        "status_code": "int",
    },
)

COLUMNS: Columns = {
    "dns_questions": Column(texts(0, lambda name: [name]), EITHER),
    "dns_question_types": Column(numbers(0, lambda kind: [type_name(kind)]), EITHER),
    "dns_opcode": Column(numbers(2, lambda bits: opcode_name(bits & 15).upper()), EITHER),
    "dns_request": Column(numbers(0, lambda _: True)),
    "dns_request_length": Column(sizes()),
    "dns_response": Column(numbers(0, lambda _: True), ("response",)),
    "dns_response_length": Column(sizes(), ("response",)),
    "status_code": Column(numbers(1), ("response",)),
    "dns_rcode": Column(numbers(1, rcode_name), ("response",)),
    "dns_truncated": Column(numbers(2, lambda bits: bits > 15), ("response",)),
}
"""What the scanner (scan_dns.c) knows."""


def _is_dns(stream: Stream) -> bool:
    ports = {stream.client.port, stream.server.port}
    if NETBIOS_NAMES in ports:
        return False
    if stream.transport == "tcp":
        return any(_begins_with_dns(side) for side in stream.sides)
    if stream.transport != "udp":
        return False
    if DNS_PORT in ports:  # whatever is damaged there is damaged DNS
        return any(len(datagram.data) >= HEADER_BYTES for datagram in stream.datagrams)
    if ports & set(MULTICAST_PORTS):
        return any(_is_plausible(bytes(datagram.data)) for datagram in stream.datagrams[:PROBED_DATAGRAMS])
    return any(_is_certain(bytes(datagram.data)) for datagram in stream.datagrams[:1])


def _is_plausible(data: bytes) -> bool:
    """Say whether these bytes may be DNS: a known opcode, and counts that could be true."""
    if len(data) < HEADER_BYTES:
        return False
    counts = [int.from_bytes(data[at : at + 2], "big") for at in range(4, 12, 2)]
    return (data[2] >> 3 & 15) in OPCODES and counts[0] * 5 + sum(counts[1:]) * 11 <= len(data)


def _is_certain(data: bytes) -> bool:
    """Say whether these bytes can be nothing but DNS, on whatever port: nothing left over, nothing unknown."""
    if not _is_plausible(data) or data[3] & 0x40:  # the Z bit must be zero
        return False
    message = parse_message(data)
    if message.error or not message.questions or (message.answers and not message.is_response):
        return False
    return all(
        question.type in TYPES and class_name(question.rclass) == "IN" and "\\" not in question.name
        for question in message.questions
    )


def _begins_with_dns(side: StreamSide) -> bool:
    head = bytes(side.data[: 2 + RESYNC_BYTES])
    length = int.from_bytes(head[:2], "big")
    return len(head) >= 2 + length > 2 and _is_certain(head[2 : 2 + length])


def _udp_messages(stream: Stream) -> Iterator[Message]:
    client, server = stream.client, stream.server
    multicast = _is_multicast(client.ip) or _is_multicast(server.ip)
    lonely = multicast or client.port in MULTICAST_PORTS or server.port in MULTICAST_PORTS
    for index, datagram in enumerate(stream.datagrams):
        data, direction = bytes(datagram.data), datagram.direction
        message = _message(_said(data, direction), data, direction, 0, len(data), cut=datagram.cut)
        message.datagram = index
        # whoever knows the answer sends it, from its own address: these halves belong to no pair of ends
        message.one_way = multicast if message.kind == REQUEST else lonely
        yield message


@functools.lru_cache(maxsize=4096)  # the same few addresses, over and over
def _is_multicast(address: str) -> bool:
    if ":" in address:
        return address.startswith("ff")
    return 224 <= int(address.partition(".")[0]) < 240


def _tcp_messages(stream: Stream) -> Iterator[Message]:
    for direction, side in enumerate(stream.sides):
        yield from _side_messages(Wire(side), direction)


def _side_messages(wire: Wire, direction: int) -> Iterator[Message]:
    """Split one side by length prefixes (RFC 1035 §4.2.2); behind lost bytes at the next certain message."""
    data, at = wire.data, 0
    lost = wire.starts_midway
    while at + 2 < len(data):
        gap = wire.gap_in(at, at + 2)
        if gap:
            at, lost = gap[1], True
            continue
        if lost:
            at, lost = _resume(data, at), False
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < HEADER_BYTES:  # not DNS any more: one message for all of it
            end = _resume(data, at)
            damaged = DnsMessage(data[at:end], flags=direction << 15, error=f"malformed: length {length} at {at}")
            yield _message(_Said(damaged, is_response=direction == 1), b"", direction, at, end, cut=False)
            at = end
            continue
        end = wire.after(at + 2, length)
        captured = wire.captured(at + 2, min(end, len(data)))
        said, stop = _said(captured, direction), min(end, len(data))
        message = _message(said, captured, direction, at, stop, cut=len(captured) < length)
        if gap := wire.gap_in(at, end):
            message.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
        yield message
        at = end


def _resume(data: bytes, at: int) -> int:
    """Return the offset of the next certain message within the length of the longest one, else the end."""
    for start in range(at, min(len(data) - 2 - HEADER_BYTES, at + RESYNC_BYTES)):
        length = int.from_bytes(data[start : start + 2], "big")
        if HEADER_BYTES <= length <= len(data) - start - 2 and _is_certain(data[start + 2 : start + 2 + length]):
            return start
    return len(data)


class _Said:
    """What a message says, without its id. Equal messages have one of these: whatever is handed out is a copy."""

    __slots__ = ("_document", "dns", "fields", "is_response")

    def __init__(self, dns: DnsMessage, *, is_response: bool) -> None:
        length = len(dns.data)
        fields: dict[str, Any] = {
            "dns_questions": [question.name.lower() for question in dns.questions],
            "dns_question_types": [type_name(question.type) for question in dns.questions],
            "dns_opcode": opcode_name(dns.opcode).upper(),
        }
        if is_response:
            rcode = dns.rcode
            fields["dns_response"] = True
            fields["dns_response_length"] = length
            fields["status_code"] = rcode
            fields["dns_rcode"] = rcode_name(rcode)
            if dns.flags & FLAGS["truncated"]:
                fields["dns_truncated"] = True
            fields["dns_answers"] = [record_text(dns, record) for record in dns.answers]
            fields["dns_answer_names"] = [record.name.lower() for record in dns.answers]
        else:
            fields["dns_request"] = True
            fields["dns_request_length"] = length
        self.dns, self.is_response, self.fields = dns, is_response, fields
        self._document: Mapping[str, Any] | None = None

    def own_fields(self) -> dict[str, Value]:
        fields = self.fields.copy()
        fields["dns_questions"] = fields["dns_questions"].copy()
        fields["dns_question_types"] = fields["dns_question_types"].copy()
        if self.is_response:
            fields["dns_answers"] = fields["dns_answers"].copy()
            fields["dns_answer_names"] = fields["dns_answer_names"].copy()
        return fields

    def detail(self) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
        known = self._document
        if known is None:
            known = self._document = self._answer() if self.is_response else self._question()
        document = dict(known)
        for section in SECTIONS if self.is_response else ("questions",):
            document[section] = list(map(dict.copy, known[section]))
        return {}, document

    def _question(self) -> Mapping[str, Any]:
        return {
            "opCode": opcode_name(self.dns.opcode),
            "questions": [
                {"name": question.name, "type": type_name(question.type), "class": class_name(question.rclass)}
                for question in self.dns.questions
            ],
        }

    def _answer(self) -> Mapping[str, Any]:
        dns, rcode, answers = self.dns, self.fields["status_code"], self.fields["dns_answers"]
        return {
            "code": RCODES[rcode][1] if rcode in RCODES else f"RCODE{rcode}",
            "rcode": rcode,
            **{name: bool(dns.flags & bit) for name, bit in FLAGS.items()},
            "answers": [_record(record, shown) for record, shown in zip(dns.answers, answers, strict=True)],
            "authorities": [_record(record, record_text(dns, record)) for record in dns.authorities],
            "additionals": [_record(record, record_text(dns, record)) for record in dns.additionals],
        }


def _said(data: bytes, direction: int) -> _Said:
    """Read a message."""
    if HEADER_BYTES <= len(data) <= KEPT_BYTES and (known := _known(data[2:])):
        return known
    dns = parse_message(data)
    return _Said(dns, is_response=dns.is_response if len(data) >= HEADER_BYTES else direction == 1)


@functools.lru_cache(maxsize=1024)  # resolvers ask the same, and are told the same, over and over
def _known(data: bytes) -> _Said | None:
    """Read a message without its id; None if a name may point to that, which only nonsense does."""
    if b"\xc0\0" in data or b"\xc0\1" in data:
        return None
    dns = parse_message(b"\0\0" + data)
    return _Said(dns, is_response=dns.is_response)


def _message(said: _Said, data: bytes, direction: int, start: int, end: int, *, cut: bool) -> Message:
    dns = said.dns
    number = data[:2] if len(data) >= HEADER_BYTES else b"\0\0"
    return Message(
        RESPONSE if said.is_response else REQUEST,
        direction,
        start,
        end,
        fields=said.own_fields(),
        key=f"0x{number.hex()}",
        error=f"truncated: only {len(dns.data)} bytes were captured" if cut else dns.error,
        detail=said.detail,
    )


_OWN_KEY = {"A": "ip", "AAAA": "ip", "TXT": "txts", "SPF": "txts"}
_OWN_KEY |= {name: name.lower() for name in ("NS", "CNAME", "PTR", "SOA", "SRV", "MX", "OPT", "URI")}
_OWN_KEYS = dict.fromkeys(("ip", "ns", "cname", "ptr", "txts", "soa", "srv", "mx", "opt", "uri"), "")


def _record(record: Record, shown: str) -> dict[str, Any]:
    """Return one record; types without a key of their own have their text under `data` alone."""
    kind = type_name(record.type)
    return {
        "name": record.name,
        "type": kind,
        "class": class_name(record.rclass) if kind != "OPT" else "",
        "ttl": record.ttl if kind != "OPT" else 0,
        **_OWN_KEYS,
        _OWN_KEY.get(kind, "data"): shown,
    }


def _dissect(stream: Stream) -> Iterable[Message]:
    return _tcp_messages(stream) if stream.transport == "tcp" else _udp_messages(stream)


protocols, probe, dissect = one_protocol(DNS, _is_dns, _dissect)
