"""Diameter messages (RFC 6733 §3, §4): header, AVPs, groups of them to a bounded depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, NamedTuple

from kubeshark.extension_api import Value
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.access._diameter_names import AVPS, COMMANDS, ENUMERATIONS, VENDORS, AvpName

__all__ = ["HEADER_BYTES", "MAX_MESSAGE", "Avp", "Header", "avps", "detail", "read_header", "shown"]

HEADER_BYTES = 20
MAX_MESSAGE = 4 << 20  # bytes; three octets of length allow 16 MiB, nobody sends as much
MAX_DEPTH = 8  # of groups in groups
MAX_AVPS = 5_000  # of a message that are shown
MAX_VALUE = 16 << 10  # bytes of a value
REDACTED = "[redacted]"

REQUEST, PROXIABLE, ERROR, RETRANSMITTED = 0x80, 0x40, 0x20, 0x10
_VENDOR, _RESERVED = 0x80, 0x1F
_UNKNOWN = AvpName("", "o")
_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
_SIGNED, _SIZES = "sSe", {"i": 4, "I": 8, "s": 4, "S": 8, "e": 4, "t": 4}


class Header(NamedTuple):
    length: int
    flags: int
    command: int
    application: int
    hop_by_hop: int
    end_to_end: int

    @property
    def is_request(self) -> bool:
        return bool(self.flags & REQUEST)

    @property
    def method(self) -> str:
        return COMMANDS.get(self.command, str(self.command))


class Avp(NamedTuple):
    code: int
    vendor: int
    flags: int
    value: bytes


def read_header(data: bytes, at: int) -> Header | None:
    """Read a header; None where these bytes are none."""
    if at + HEADER_BYTES > len(data) or data[at] != 1:
        return None
    length = int.from_bytes(data[at + 1 : at + 4], "big")
    flags = data[at + 4]
    if not HEADER_BYTES <= length <= MAX_MESSAGE or length % 4 or flags & 0x0F:
        return None
    if flags & REQUEST and flags & ERROR:
        return None  # RFC 6733 §3: the E bit must not be set in requests
    words = [int.from_bytes(data[at + n : at + n + 4], "big") for n in range(8, HEADER_BYTES, 4)]
    return Header(length, flags, int.from_bytes(data[at + 5 : at + 8], "big"), *words)


def avps(data: bytes, at: int, end: int) -> Iterator[Avp | None]:
    """Yield the AVPs in data[at:end]; None, once and last, where they stop making sense."""
    while at < end:
        if end - at < 8:
            yield None
            return
        flags, length = data[at + 4], int.from_bytes(data[at + 5 : at + 8], "big")
        head = 12 if flags & _VENDOR else 8
        if length < head or at + length > end or flags & _RESERVED:
            yield None
            return
        vendor = int.from_bytes(data[at + 8 : at + 12], "big") if flags & _VENDOR else 0
        yield Avp(int.from_bytes(data[at : at + 4], "big"), vendor, flags, data[at + head : at + length])
        at += length + 3 & ~3


def name_of(avp: Avp) -> AvpName:
    return AVPS.get((avp.vendor, avp.code), _UNKNOWN)


def shown(avp: Avp) -> str:
    """Return the value of an AVP that is no group, as text."""
    kind, value = name_of(avp).type, avp.value[:MAX_VALUE]
    if kind == "x":
        return REDACTED
    if len(value) != _SIZES.get(kind, len(value)):
        return value.hex()
    if kind == "u":
        return text(value)
    if kind == "t":
        seconds = int.from_bytes(value, "big")
        if seconds < 1 << 31:
            seconds += 1 << 32  # after 2036 (RFC 6733 §4.3.1)
        return datetime.fromtimestamp(seconds - _NTP_EPOCH, UTC).isoformat().replace("+00:00", "Z")
    if kind == "a":
        return _address(value)
    if kind in _SIZES:
        number = int.from_bytes(value, "big", signed=kind in _SIGNED)
        return ENUMERATIONS.get(avp.code, {}).get(number, str(number)) if avp.vendor == 0 else str(number)
    if value and all(0x20 <= octet < 0x7F for octet in value):
        return value.decode("ascii")
    return value.hex()


def _address(value: bytes) -> str:
    family, rest = int.from_bytes(value[:2], "big"), value[2:]
    if (family, len(rest)) in ((1, 4), (2, 16)):
        return str(ip_address(rest))
    return text(rest) if family == 8 else value.hex()  # 8: E.164


def detail(data: bytes, header: Header, result: int) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    """Return the request or response object of one message."""
    budget = [MAX_AVPS]
    document: dict[str, Any] = {
        "commandCode": header.command,
        "method": header.method,
        "applicationId": header.application,
        "hopByHop": f"{header.hop_by_hop:#010x}",
        "endToEnd": f"{header.end_to_end:#010x}",
        "flags": [
            name
            for bit, name in (
                (REQUEST, "request"),
                (PROXIABLE, "proxiable"),
                (ERROR, "error"),
                (RETRANSMITTED, "retransmitted"),
            )
            if header.flags & bit
        ],
        "avps": _listed(data, HEADER_BYTES, len(data), MAX_DEPTH, budget),
    }
    if not header.is_request:
        document["resultCode"] = result
    return {}, document


def _listed(data: bytes, at: int, end: int, depth: int, budget: list[int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for avp in avps(data, at, end):
        if avp is None or budget[0] <= 0:
            break
        budget[0] -= 1
        known = name_of(avp)
        value: Any
        if known.type == "g" and depth > 1:
            value = _listed(avp.value, 0, len(avp.value), depth - 1, budget)
        else:
            value = shown(avp)
        vendor = VENDORS.get(avp.vendor, str(avp.vendor))
        found.append({"code": avp.code, "vendor": vendor, "name": known.name or f"AVP-{avp.code}", "value": value})
    return found
