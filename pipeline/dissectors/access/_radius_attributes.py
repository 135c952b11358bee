"""RADIUS attributes by name, and their values as text (RFC 2865-2869, 3162, 3579, 5176, 5580, 6929; IANA registry).

Passwords, their hashes and session keys are named, never shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.access._radius_names import (
    ATTRIBUTES,
    CISCO,
    EAP_CODES,
    EAP_TYPES,
    MICROSOFT,
    MICROSOFT_SECRETS,
    TGPP,
    TGPP_ADDRESSES,
    TGPP_INTEGERS,
    TGPP_OCTETS,
    VALUES,
    VENDORS,
)

__all__ = ["Attribute", "attributes", "document", "is_sound", "shown"]

REDACTED = "[redacted]"
VENDOR_SPECIFIC, EAP_MESSAGE = 26, 79

_SIZES: dict[str, int] = {"int": 4, "time": 4, "address": 4, "address6": 16, "interface": 8}


class Attribute(NamedTuple):
    type: int
    value: bytes


def attributes(data: bytes, at: int, end: int) -> Iterator[Attribute | None]:
    """Yield the attributes in data[at:end]; None, once and last, where they stop making sense."""
    while at < end:
        size = data[at + 1] if at + 1 < end else 0
        if size < 2 or at + size > end:
            yield None
            return
        yield Attribute(data[at], data[at + 2 : at + size])
        at += size


def is_sound(attribute: Attribute) -> bool:
    """Say whether an attribute is known and as long as its type demands: what tells RADIUS from other bytes."""
    known = ATTRIBUTES.get(attribute.type)
    return known is not None and _SIZES.get(known[1], len(attribute.value)) == len(attribute.value)


def shown(attribute: Attribute) -> str:
    """Return an attribute's value as text."""
    name_and_kind = ATTRIBUTES.get(attribute.type)
    if attribute.type == EAP_MESSAGE:
        return _eap(attribute.value)
    return _value(attribute.type, attribute.value, name_and_kind[1] if name_and_kind else "octets")


def document(found: list[Attribute]) -> list[dict[str, Any]]:
    """Return attributes as entries show them: vendors' ones apart, fragments of EAP joined (RFC 3579 §3.1)."""
    listed: list[dict[str, Any]] = []
    eap = b""
    for at, attribute in enumerate(found):
        number, value = attribute
        if number == VENDOR_SPECIFIC and len(value) > 4:
            listed += _vendor_specific(value)
            continue
        if number == EAP_MESSAGE:
            eap += value
            if at + 1 < len(found) and found[at + 1].type == EAP_MESSAGE:
                continue
            value, eap = eap, b""
        name = ATTRIBUTES[number][0] if number in ATTRIBUTES else f"Attribute-{number}"
        if 241 <= number <= 246 and value:  # RFC 6929 §2: the extended type comes first
            name, value = f"{name}.{value[0]}", value[1:]
        listed.append({"type": number, "name": name, "value": shown(Attribute(number, value))})
    return listed


def _vendor_specific(value: bytes) -> Iterator[dict[str, Any]]:
    """Yield the attributes inside a vendor's (RFC 2865 §5.26); as one where they are in no known form."""
    vendor = int.from_bytes(value[:4], "big")
    vendor_name = VENDORS.get(vendor, str(vendor))
    inner = list(attributes(value, 4, len(value)))
    if None in inner:
        yield {"type": VENDOR_SPECIFIC, "name": "Vendor-Specific", "vendor": vendor_name, "value": value[4:].hex()}
        return
    for attribute in inner:
        if attribute is not None:
            name, kind = _vendor_attribute(vendor, vendor_name, attribute.type)
            shown_value = _value(0, attribute.value, kind)
            yield {"type": VENDOR_SPECIFIC, "name": name, "vendor": vendor_name, "value": shown_value}


def _vendor_attribute(vendor: int, vendor_name: str, number: int) -> tuple[str, str]:
    if vendor == 311 and number in MICROSOFT_SECRETS:
        return MICROSOFT_SECRETS[number], "secret"
    if vendor == 311 and number in MICROSOFT:
        return MICROSOFT[number]
    if vendor == 9:
        return CISCO.get(number, f"Cisco-{number}"), "int" if number == 2 else "text"
    if vendor == 10415 and number in TGPP:
        kinds = (("int", TGPP_INTEGERS), ("address", TGPP_ADDRESSES), ("octets", TGPP_OCTETS))
        return TGPP[number], next((kind for kind, numbers in kinds if number in numbers), "text")
    return f"{vendor_name}-{number}", "unknown"


def _value(number: int, value: bytes, kind: str) -> str:
    if kind == "secret":
        return REDACTED
    if len(value) != _SIZES.get(kind, len(value)):
        return value.hex()
    match kind:
        case "text":
            return text(value)
        case "int":
            whole = int.from_bytes(value, "big")
            if number in (64, 65):
                whole &= 0xFFFFFF  # the first octet is a tag (RFC 2868 §3.1)
            return VALUES.get(number, {}).get(whole, str(whole))
        case "time":
            return datetime.fromtimestamp(int.from_bytes(value, "big"), UTC).isoformat().replace("+00:00", "Z")
        case "address":
            return str(IPv4Address(value))
        case "address6":
            return str(IPv6Address(value))
        case "prefix6" if 2 <= len(value) <= 18 and value[1] <= 128:
            return f"{IPv6Address(value[2:].ljust(16, bytes(1)))}/{value[1]}"
        case "interface":
            return value.hex(":", 2)
        case "tagged":
            if number == 83 and len(value) == 4:
                return str(int.from_bytes(value[1:], "big"))
            return text(value[1:] if value and value[0] < 0x20 else value)
        case "unknown":
            return text(value) if value and all(0x20 <= octet < 0x7F for octet in value) else value.hex()
    return value.hex()


def _eap(value: bytes) -> str:
    """Say what an EAP packet is (RFC 3748 §4); of its data only the identity."""
    if len(value) < 4:
        return value.hex()
    words = [EAP_CODES.get(value[0], str(value[0])), f"id {value[1]}"]
    if len(value) > 4 and value[0] in (1, 2):
        words.append(EAP_TYPES.get(value[4], f"type {value[4]}"))
        if value[4] == 1 and len(value) > 5:
            words.append(text(value[5 : int.from_bytes(value[2:4], "big")]))
    return " ".join(words)
