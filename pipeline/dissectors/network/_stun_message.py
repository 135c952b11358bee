"""STUN and TURN messages (RFC 8489, 5389, 3489; TURN: 8656; ICE: 8445): header, attributes as text."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from kubeshark.pipeline.dissectors._text import text

__all__ = [
    "HEADER_BYTES",
    "MAGIC",
    "Attribute",
    "StunMessage",
    "error_code",
    "is_classic",
    "is_stun",
    "name_of",
    "read_message",
    "shown",
]

HEADER_BYTES = 20
MAGIC = b"\x21\x12\xa4\x42"
REDACTED = "[redacted]"
CLASSES = ("request", "indication", "success", "error")
METHODS = {
    0x001: "Binding",
    0x002: "SharedSecret",
    0x003: "Allocate",
    0x004: "Refresh",
    0x006: "Send",
    0x007: "Data",
    0x008: "CreatePermission",
    0x009: "ChannelBind",
    0x00A: "Connect",
    0x00B: "ConnectionBind",
    0x00C: "ConnectionAttempt",
    0x080: "GooglePing",
}
_TEXT = {0x0006: "USERNAME", 0x0014: "REALM", 0x0015: "NONCE", 0x8003: "ALTERNATE-DOMAIN", 0x8022: "SOFTWARE"}
_PLAIN_ADDRESS = {
    0x0001: "MAPPED-ADDRESS",
    0x0002: "RESPONSE-ADDRESS",
    0x0004: "SOURCE-ADDRESS",
    0x0005: "CHANGED-ADDRESS",
    0x000B: "REFLECTED-FROM",
    0x8023: "ALTERNATE-SERVER",
    0x802B: "RESPONSE-ORIGIN",
    0x802C: "OTHER-ADDRESS",
}
_XOR_ADDRESS = {
    0x0012: "XOR-PEER-ADDRESS",
    0x0016: "XOR-RELAYED-ADDRESS",
    0x0020: "XOR-MAPPED-ADDRESS",
    0x8020: "XOR-MAPPED-ADDRESS",  # of drafts before RFC 5389
}
_INT = {0x000D: "LIFETIME", 0x0024: "PRIORITY", 0x0027: "RESPONSE-PORT", 0xC057: "NETWORK-COST"}
_OTHER = {
    0x0003: "CHANGE-REQUEST",
    0x0007: "PASSWORD",
    0x0008: "MESSAGE-INTEGRITY",
    0x0009: "ERROR-CODE",
    0x000A: "UNKNOWN-ATTRIBUTES",
    0x000C: "CHANNEL-NUMBER",
    0x0013: "DATA",
    0x0017: "REQUESTED-ADDRESS-FAMILY",
    0x0018: "EVEN-PORT",
    0x0019: "REQUESTED-TRANSPORT",
    0x001A: "DONT-FRAGMENT",
    0x001C: "MESSAGE-INTEGRITY-SHA256",
    0x001D: "PASSWORD-ALGORITHM",
    0x001E: "USERHASH",
    0x0022: "RESERVATION-TOKEN",
    0x0025: "USE-CANDIDATE",
    0x0026: "PADDING",
    0x002A: "CONNECTION-ID",
    0x8000: "ADDITIONAL-ADDRESS-FAMILY",
    0x8001: "ADDRESS-ERROR-CODE",
    0x8002: "PASSWORD-ALGORITHMS",
    0x8004: "ICMP",
    0x8028: "FINGERPRINT",
    0x8029: "ICE-CONTROLLED",
    0x802A: "ICE-CONTROLLING",
    0x802D: "ECN-CHECK",
}
NAMES = _TEXT | _PLAIN_ADDRESS | _XOR_ADDRESS | _INT | _OTHER
_PASSWORD, _ERROR_CODE, _CHANNEL, _TRANSPORT, _FAMILY, _DATA = 0x0007, 0x0009, 0x000C, 0x0019, 0x0017, 0x0013
_FAMILIES = {1: "IPv4", 2: "IPv6"}
_TRANSPORTS = {6: "TCP", 17: "UDP"}


class Attribute(NamedTuple):
    type: int
    value: bytes


class StunMessage(NamedTuple):
    method: str
    kind: str  # one of CLASSES
    transaction: bytes  # 16 octets, magic cookie included
    length: int  # of the whole message
    attributes: list[Attribute]
    error: str


def is_stun(head: bytes) -> bool:
    """Say whether a message with the magic cookie begins here (RFC 8489 §6.3)."""
    return len(head) >= HEADER_BYTES and head[4:8] == MAGIC and head[0] < 0x40 and not head[3] & 3


def is_classic(data: bytes) -> bool:
    """Say whether this datagram is a message as RFC 3489 had it: no cookie, so every length must be right."""
    if len(data) < HEADER_BYTES or int.from_bytes(data[2:4], "big") != len(data) - HEADER_BYTES:
        return False
    if int.from_bytes(data[:2], "big") not in (0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112):
        return False
    found = list(attributes(data, HEADER_BYTES, len(data)))
    return all(attribute is not None and attribute.type in NAMES for attribute in found)


def attributes(data: bytes, at: int, end: int) -> Iterator[Attribute | None]:
    """Yield the attributes in data[at:end]; None, once and last, where they stop making sense."""
    while at < end:
        length = int.from_bytes(data[at + 2 : at + 4], "big") if at + 4 <= end else end
        if at + 4 + length > end:
            yield None
            return
        yield Attribute(int.from_bytes(data[at : at + 2], "big"), data[at + 4 : at + 4 + length])
        at += 4 + (length + 3 & ~3)


def read_message(data: bytes) -> StunMessage:
    """Read a message that `is_stun` or `is_classic` saw; `data` may be longer or cut."""
    kind = int.from_bytes(data[:2], "big")
    number = kind & 0x000F | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2  # RFC 8489 §5: the class lies between
    length = HEADER_BYTES + int.from_bytes(data[2:4], "big")
    listed = list(attributes(data, HEADER_BYTES, min(length, len(data))))
    known = [attribute for attribute in listed if attribute is not None]
    error = ""
    if length > len(data):
        error = f"truncated: only {len(data)} bytes of {length} were captured"
    elif None in listed:
        error = f"malformed: attribute {len(known)} does not fit"
    method = METHODS.get(number, f"method {number:#05x}")
    return StunMessage(method, CLASSES[kind >> 7 & 2 | kind >> 4 & 1], data[4:20], length, known, error)


def name_of(attribute: Attribute) -> str:
    return NAMES.get(attribute.type, f"{attribute.type:#06x}")


def shown(attribute: Attribute, transaction: bytes) -> str:
    """Return the value of an attribute as text."""
    kind, value = attribute
    if kind in _TEXT:
        return text(value)
    if kind in _XOR_ADDRESS:
        mask = (MAGIC[:2] + transaction)[: max(0, len(value) - 2)]
        return _address(value[:2] + bytes(a ^ b for a, b in zip(value[2:], mask, strict=False)))
    if kind in _PLAIN_ADDRESS:
        return _address(value)
    if kind in _INT and len(value) == 4:
        return str(int.from_bytes(value, "big"))
    if kind == _PASSWORD:
        return REDACTED
    if kind == _ERROR_CODE and len(value) >= 4:
        return f"{error_code(value)} {text(value[4:])}".strip()
    if kind == _CHANNEL and len(value) == 4:
        return f"{int.from_bytes(value[:2], 'big'):#06x}"
    if kind in (_TRANSPORT, _FAMILY) and len(value) == 4:
        names = _TRANSPORTS if kind == _TRANSPORT else _FAMILIES
        return names.get(value[0], str(value[0]))
    if kind == _DATA:
        return f"{len(value)} bytes"
    return value.hex()


def error_code(value: bytes) -> int:
    """Return the number in an ERROR-CODE (RFC 8489 §14.8), 0 if it is cut."""
    return (value[2] & 7) * 100 + value[3] if len(value) >= 4 else 0


def _address(value: bytes) -> str:
    """Return an address and its port, unmasked, as text (RFC 8489 §14.1)."""
    family, port, address = value[1:2], int.from_bytes(value[2:4], "big"), value[4:]
    if family == b"\x01" and len(address) == 4:
        return f"{IPv4Address(address)}:{port}"
    if family == b"\x02" and len(address) == 16:
        return f"[{IPv6Address(address)}]:{port}"
    return value.hex()
