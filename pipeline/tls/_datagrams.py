"""Hellos of DTLS (RFC 6347 §4.2, RFC 9147 §5): records in datagrams, messages in fragments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct, field

from kubeshark.extension_api import Datagram
from kubeshark.pipeline.tls._hello import ClientHello, ServerHello, parse_client_hello, parse_server_hello
from kubeshark.pipeline.tls._records import ALERT, CERTIFICATE, CLIENT_HELLO, HANDSHAKE, SERVER_HELLO, Alert, Handshake

__all__ = ["DatagramFlight", "begins_dtls", "read_datagrams"]

HEADER_BYTES, FRAGMENT_BYTES = 13, 12
VERSIONS = (b"\xfe\xff", b"\xfe\xfd", b"\x01\x00")
MAX_MESSAGE = 1 << 16  # of a hello; RFC 6347 lets it be larger than any path could carry
MAX_PENDING = 32  # messages in parts at once
WANTED = (CLIENT_HELLO, SERVER_HELLO, CERTIFICATE)


class DatagramFlight(Struct):
    """Both sides' messages in clear: (direction, datagram, message)."""

    messages: list[tuple[int, int, Handshake]] = field(default_factory=list)
    alerts: list[tuple[int, int, Alert]] = field(default_factory=list)


class _Parts(Struct):
    data: bytearray
    have: set[tuple[int, int]] = field(default_factory=set)  # (start, end) of fragments

    def is_whole(self) -> bool:
        at = 0
        for start, end in sorted(self.have):
            if start > at:
                return False
            at = max(at, end)
        return at == len(self.data)


def begins_dtls(data: bytes) -> bool:
    """Say whether a datagram begins with a handshake message or an alert in clear (epoch 0)."""
    if len(data) < HEADER_BYTES + 2 or data[1:3] not in VERSIONS or data[3:5] != b"\0\0":
        return False
    length = int.from_bytes(data[11:13], "big")
    if data[0] == ALERT:
        return length == 2 and data[13] in (1, 2)
    if data[0] != HANDSHAKE or len(data) < HEADER_BYTES + FRAGMENT_BYTES or length < FRAGMENT_BYTES:
        return False
    size, start, part = (int.from_bytes(data[at : at + 3], "big") for at in (14, 19, 22))
    return start + part <= size <= MAX_MESSAGE and FRAGMENT_BYTES + part <= length


def read_datagrams(datagrams: Sequence[Datagram]) -> DatagramFlight:
    """Collect hellos, certificates and alerts; a message that comes again is the same message."""
    flight = DatagramFlight()
    pending: dict[tuple[int, int, int], _Parts] = {}
    for index, datagram in enumerate(datagrams):
        data = bytes(datagram.data)
        for kind, start, end in _records(data):
            if kind == ALERT and end - start == 2 and data[start] in (1, 2):
                alert = Alert(data[start], data[start + 1], start - HEADER_BYTES, end)
                flight.alerts.append((datagram.direction, index, alert))
            elif kind == HANDSHAKE:
                for message in _handshakes(data, start, end, datagram.direction, pending):
                    flight.messages.append((datagram.direction, index, message))
    return flight


def _records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (type, body start, body end) of the records of epoch 0."""
    at = 0
    while at + HEADER_BYTES <= len(data) and data[at + 1 : at + 3] in VERSIONS:
        start = at + HEADER_BYTES
        end = min(len(data), start + int.from_bytes(data[start - 2 : start], "big"))
        if data[at + 3 : at + 5] == b"\0\0":
            yield data[at], start, end
        at = end


def _handshakes(
    data: bytes, at: int, end: int, direction: int, pending: dict[tuple[int, int, int], _Parts]
) -> Iterator[Handshake]:
    while at + FRAGMENT_BYTES <= end:
        kind = data[at]
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        offset = int.from_bytes(data[at + 6 : at + 9], "big")
        body_start = at + FRAGMENT_BYTES
        body_end = body_start + int.from_bytes(data[at + 9 : at + 12], "big")
        if body_end > end or offset + body_end - body_start > size or size > MAX_MESSAGE:
            return
        key = direction, number, kind
        if kind in WANTED and (key in pending or len(pending) < MAX_PENDING):
            parts = pending.setdefault(key, _Parts(bytearray(size)))
            if len(parts.data) == size and not parts.is_whole():
                parts.data[offset : offset + body_end - body_start] = data[body_start:body_end]
                parts.have.add((offset, offset + body_end - body_start))
                if parts.is_whole():
                    body = bytes(parts.data)
                    hello = _hello(kind, body)
                    error = f"malformed: {hello.error}" if hello and hello.error else ""
                    yield Handshake(kind, body, at - HEADER_BYTES if at >= HEADER_BYTES else 0, body_end, error, hello)
        at = body_end


def _hello(kind: int, body: bytes) -> ClientHello | ServerHello | None:
    if kind == CLIENT_HELLO:
        return parse_client_hello(body, is_datagram=True)
    return parse_server_hello(body) if kind == SERVER_HELLO else None
