"""The PROXY protocol, versions 1 and 2 (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt), on any port.

A load balancer says first for whom it speaks; what follows is handed over. The ends of the entries behind it stay those
of the connection: who really asked is in this entry, of the same stream. Its first bytes are so many that no probe is
needed, and it is asked before all others: several of them look for a beginning behind what they do not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any

from kubeshark.extension_api import (
    CLIENT,
    Classifier,
    Handover,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    Value,
    hookimpl,
    rest_of,
)
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.relays._document import detail, document_of

__all__ = ["PROXY", "dissect", "protocols"]

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
BEGINNINGS = b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN", SIGNATURE + b"\x20", SIGNATURE + b"\x21"
FIXED = len(SIGNATURE) + 4  # with command, family and length
MAX_LINE = 107  # bytes, CR and LF included (§2.1)
MAX_VALUES = 64  # TLVs that are read
FAMILIES = {0x11: "TCP4", 0x12: "UDP4", 0x21: "TCP6", 0x22: "UDP6", 0x31: "UNIX", 0x32: "UNIX datagram"}
ADDRESS_BYTES = {1: 4, 2: 16}
VALUES = {1: "alpn", 2: "authority", 3: "crc32c", 4: "noop", 5: "uniqueId", 0x30: "netns", 0xEA: "aws", 0xEE: "azure"}
SSL, SSL_VALUES = 0x20, {0x21: "version", 0x22: "cn", 0x23: "cipher", 0x24: "signature", 0x25: "key"}
_TEXTS = {"alpn": "proxy_alpn", "authority": "proxy_authority"}
_LINE = re.compile(rb"PROXY (?:UNKNOWN[^\r\n]*|(TCP[46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (\d{1,5}) (\d{1,5}))\r\n")

PROXY = ProtocolSpec(
    name="proxy",
    abbr="PROXY",
    long_name="PROXY protocol",
    version="2",
    priority=-1,
    background="#78350f",
    foreground="#ffffff",
    reference="https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt",
    matcher="none",
    hands_over=("*",),
    handover_marks=(b"proxy ", SIGNATURE.lower()),
    classifiers=tuple(Classifier("tcp", prefix=prefix, side="client") for prefix in BEGINNINGS),
    variables={
        "proxy_version": "string",
        "proxy_command": "string",
        "proxy_family": "string",
        "proxy_src_ip": "string",
        "proxy_src_port": "int",
        "proxy_dst_ip": "string",
        "proxy_dst_port": "int",
        "proxy_authority": "string",
        "proxy_alpn": "string",
        "proxy_total_size": "int",
    },
)


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return (PROXY,)


@hookimpl
def dissect(
    protocol: ProtocolSpec,  # noqa: ARG001
    streams: Sequence[Stream],
) -> Sequence[Sequence[Message | Handover]]:
    return [_dissect(stream) for stream in streams]


def _dissect(stream: Stream) -> list[Message | Handover]:
    wire = Wire(stream.sides[CLIENT])
    head = wire.data[:MAX_LINE]
    if line := _LINE.match(head):
        end, error = line.end(), ""
        fields, document = _line(line)
    elif not head.startswith(SIGNATURE):
        return [Handover((rest_of(stream.sides[0], 0), rest_of(stream.sides[1], 0)))]  # it only looked like this
    else:
        end = wire.after(FIXED, int.from_bytes(head[14:16], "big"))
        if gap := wire.gap_in(0, end):
            error, stop = f"gap: {gap[2]} bytes missing at {gap[0]}", gap[0]
        else:
            stop = min(end, len(wire.data))
            error = f"truncated: {end - stop} bytes of the header were not captured" if stop < end else ""
        end = min(end, len(wire.data))
        fields, document = _binary(wire.data[:stop])
    message = Message(
        MessageKind.EVENT,
        CLIENT,
        0,
        end,
        fields={**fields, "proxy_total_size": end},
        error=error,
        detail=partial(detail, document),
    )
    rest = rest_of(stream.sides[CLIENT], end), rest_of(stream.sides[1 - CLIENT], 0)
    return [message, Handover(rest)] if any(side.data for side in rest) else [message]


def _line(line: re.Match[bytes]) -> tuple[dict[str, Value], dict[str, Any]]:
    family, *ends = (part.decode("ascii") for part in line.groups(b""))
    fields: dict[str, Value] = {"proxy_version": "1", "proxy_command": "PROXY", "proxy_family": family or "UNKNOWN"}
    if family:
        fields |= _ends(ends[0], int(ends[2]), ends[1], int(ends[3]))
    return fields, document_of(fields, "proxy")


def _ends(src: str, src_port: int, dst: str, dst_port: int) -> dict[str, Value]:
    return {"proxy_src_ip": src, "proxy_src_port": src_port, "proxy_dst_ip": dst, "proxy_dst_port": dst_port}


def _binary(head: bytes) -> tuple[dict[str, Value], dict[str, Any]]:
    """Read a header of version 2 as far as it was captured."""
    fields: dict[str, Value] = {"proxy_version": "2", "proxy_command": "PROXY" if head[12:13] == b"\x21" else "LOCAL"}
    if len(head) < FIXED:
        return fields, document_of(fields, "proxy")
    family = head[13]
    fields["proxy_family"] = FAMILIES.get(family, "UNSPEC")
    at = FIXED
    if size := ADDRESS_BYTES.get(family >> 4, 0):
        ends = head[at : at + 2 * size + 4]
        if len(ends) == 2 * size + 4:
            src, dst = (str(ip_address(ends[start : start + size])) for start in (0, size))
            ports = (int.from_bytes(ends[start : start + 2], "big") for start in (2 * size, 2 * size + 2))
            fields |= _ends(src, next(ports), dst, next(ports))
        at += 2 * size + 4
    elif family >> 4 == 3:
        at += 216  # two paths of 108 bytes
    document = document_of(fields, "proxy")
    values = dict(_values(head, at))
    for name, value in values.items():
        if variable := _TEXTS.get(name):
            fields[variable] = str(value)
    return fields, document | {"values": values} if values else document


def _values(head: bytes, at: int) -> Iterator[tuple[str, Any]]:
    """Yield the type-length-values from `at` on (§2.2)."""
    for kind, value in _pieces(head, at):
        if kind == SSL:
            parts: dict[str, Any] = {"client": value[:1].hex(), "verified": value[1:5] == bytes(4)}
            parts |= {SSL_VALUES.get(inner, f"0x{inner:02x}"): text(part) for inner, part in _pieces(value, 5)}
            yield "ssl", parts
        elif kind in VALUES:
            name = VALUES[kind]
            yield name, value.hex() if name in ("crc32c", "uniqueId", "azure") else text(value)
        else:
            yield f"0x{kind:02x}", value.hex()


def _pieces(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    for _ in range(MAX_VALUES):
        if at + 3 > len(data):
            return
        end = at + 3 + int.from_bytes(data[at + 1 : at + 3], "big")
        if end > len(data):
            return
        yield data[at], data[at + 3 : end]
        at = end
