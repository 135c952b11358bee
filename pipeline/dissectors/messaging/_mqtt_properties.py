"""Data types of MQTT and the properties of version 5 (MQTT 5.0 §1.5, §2.2.2)."""

from __future__ import annotations

from typing import Any

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.web._http_body import text_or_base64

__all__ = ["REDACTED", "Cursor", "Short", "shown_properties"]

REDACTED = "[redacted]"
MAX_PROPERTIES = 1_000

_BYTE, _TWO, _FOUR, _VARIABLE, _TEXT, _BINARY, _PAIR = range(7)
TOPIC_ALIAS, ASSIGNED_CLIENT_ID, AUTHENTICATION_DATA = 0x23, 0x12, 0x16
PROPERTIES = {
    0x01: ("payloadFormatIndicator", _BYTE),
    0x02: ("messageExpiryInterval", _FOUR),
    0x03: ("contentType", _TEXT),
    0x08: ("responseTopic", _TEXT),
    0x09: ("correlationData", _BINARY),
    0x0B: ("subscriptionIdentifier", _VARIABLE),
    0x11: ("sessionExpiryInterval", _FOUR),
    0x12: ("assignedClientIdentifier", _TEXT),
    0x13: ("serverKeepAlive", _TWO),
    0x15: ("authenticationMethod", _TEXT),
    0x16: ("authenticationData", _BINARY),
    0x17: ("requestProblemInformation", _BYTE),
    0x18: ("willDelayInterval", _FOUR),
    0x19: ("requestResponseInformation", _BYTE),
    0x1A: ("responseInformation", _TEXT),
    0x1C: ("serverReference", _TEXT),
    0x1F: ("reasonString", _TEXT),
    0x21: ("receiveMaximum", _TWO),
    0x22: ("topicAliasMaximum", _TWO),
    0x23: ("topicAlias", _TWO),
    0x24: ("maximumQoS", _BYTE),
    0x25: ("retainAvailable", _BYTE),
    0x26: ("userProperty", _PAIR),
    0x27: ("maximumPacketSize", _FOUR),
    0x28: ("wildcardSubscriptionAvailable", _BYTE),
    0x29: ("subscriptionIdentifierAvailable", _BYTE),
    0x2A: ("sharedSubscriptionAvailable", _BYTE),
}


class Short(Exception):
    """A field reaches beyond its packet, or is none."""


class Cursor:
    """Reads fields of a packet's body one after the other; raises Short instead of reading beyond its end."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data, self.at, self.end = data, at, len(data) if end is None else end

    def take(self, count: int) -> bytes:
        start = self.at
        if count > self.end - start:
            raise Short
        self.at += count
        return self.data[start : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def variable(self) -> int:
        """Read a variable byte integer: seven bits a byte, low ones first, at most four bytes."""
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise Short

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def string(self) -> str:
        return text(self.binary())

    def properties(self) -> list[tuple[int, Any]]:
        """Read a property list: (id, int, str, bytes or a pair of str), in order."""
        size = self.variable()
        if size > self.end - self.at:
            raise Short
        inner = Cursor(self.data, self.at, self.at + size)
        self.at += size
        found: list[tuple[int, Any]] = []
        while inner.at < inner.end:
            number = inner.variable()
            if number not in PROPERTIES:
                raise Short
            value = inner.value(PROPERTIES[number][1])
            if len(found) < MAX_PROPERTIES:
                found.append((number, value))
        return found

    def value(self, kind: int) -> Any:
        if kind in (_BYTE, _TWO, _FOUR):
            return self.number((1, 2, 4)[kind])
        if kind == _VARIABLE:
            return self.variable()
        if kind == _BINARY:
            return self.binary()
        return self.string() if kind == _TEXT else (self.string(), self.string())


def shown_properties(properties: list[tuple[int, Any]]) -> dict[str, Any]:
    """Return properties as JSON: user properties in one map, repeated ones as lists, authentication data hidden."""
    shown: dict[str, Any] = {}
    users: dict[str, Any] = {}
    for number, value in properties:
        name = PROPERTIES[number][0]
        if isinstance(value, tuple):
            _add(users, *value)
        elif number == AUTHENTICATION_DATA:
            shown[name] = REDACTED
        else:
            _add(shown, name, text_or_base64(value)[0] if isinstance(value, bytes) else value)
    if users:
        shown["userProperties"] = users
    return shown


def _add(target: dict[str, Any], name: str, value: Any) -> None:
    if name not in target:
        target[name] = value
    elif isinstance(target[name], list):
        target[name].append(value)
    else:
        target[name] = [target[name], value]
