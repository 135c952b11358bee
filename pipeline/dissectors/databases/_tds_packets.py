"""Where TDS messages begin (MS-TDS §2.2.3), and the streams among them: TLS (§2.2.6.5, §3.2.5.1), sessions of MARS.

1. A message is packets of [type][status][length, itself included, 2][SPID, 2][number][window], the last one marked.
2. A TLS handshake travels inside PRELOGIN packets; the records behind it stand bare among the packets, or instead of
   them. Both are collected as one stream.
3. With multiple active result sets (MARS) everything behind the login lies in SMP packets (MC-SMP §2.2), a session
   each of which is a stream of its own.
4. What is no packet spoils one message; reading goes on at the next packet worth believing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct, field

from kubeshark.extension_api import CarvedSide, StreamSide, carved
from kubeshark.pipeline.dissectors._wire import Wire

__all__ = [
    "ATTENTION",
    "BULK",
    "HEADER_BYTES",
    "LOGIN7",
    "PRELOGIN",
    "RPC",
    "SQL_BATCH",
    "TABULAR",
    "TRANSACTION",
    "TYPES",
    "Packets",
    "Unit",
    "is_packet",
    "is_smp",
    "payload_of",
    "resume",
]

HEADER_BYTES = 8
SQL_BATCH, RPC, TABULAR, ATTENTION, BULK, FEDERATED, TRANSACTION = 1, 3, 4, 6, 7, 8, 14
LOGIN7, SSPI, PRELOGIN = 16, 17, 18
TYPES = {
    SQL_BATCH: "SQL_BATCH",
    2: "LOGIN",
    RPC: "RPC",
    TABULAR: "TABULAR_RESULT",
    ATTENTION: "ATTENTION",
    BULK: "BULK_LOAD",
    FEDERATED: "FEDERATED_AUTHENTICATION_TOKEN",
    TRANSACTION: "TRANSACTION_MANAGER_REQUEST",
    LOGIN7: "LOGIN7",
    SSPI: "SSPI",
    PRELOGIN: "PRELOGIN",
}
END_OF_MESSAGE = 1
SMP_BYTES = 16
MAX_SESSIONS = 1000
"""SMP sessions of one connection that are read."""
_TLS_TYPES = frozenset((0x14, 0x15, 0x16, 0x17))
_CANDIDATE = re.compile(rb"(?s)(?=[\x01\x03\x04\x06\x07\x08\x0e\x10\x11\x12][\0-\x1f].{5}\0)")


class Unit(Struct):
    """One message: its packets' payloads lie in `spans`."""

    start: int
    end: int
    type: int  # 0: bytes that are no packet
    spans: list[tuple[int, int]] = field(default_factory=list)
    is_complete: bool = False
    error: str = ""


def is_packet(data: bytes, at: int) -> bool:
    """Say whether a packet's header is here."""
    if at + HEADER_BYTES > len(data):
        return False
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    return data[at] in TYPES and data[at + 1] <= 0x1F and length >= HEADER_BYTES and not data[at + 7]


def resume(data: bytes, at: int) -> int:
    """Return the offset of the next packet that ends the data, or is followed by another one."""
    for match in _CANDIDATE.finditer(data, at):
        start = match.start()
        end = start + int.from_bytes(data[start + 2 : start + 4], "big")
        if is_packet(data, start) and (end == len(data) or is_packet(data, end)):
            return start
    return len(data)


def is_smp(data: bytes, at: int) -> bool:
    """Say whether an SMP packet's header is here: its mark, one flag, a length that holds the header."""
    if data[at] != 0x53 or at + SMP_BYTES > len(data):
        return False
    length = int.from_bytes(data[at + 4 : at + 8], "little")
    return data[at + 1] in (1, 2, 4, 8) and SMP_BYTES <= length <= 0xFFFF + SMP_BYTES


def payload_of(wire: Wire, unit: Unit) -> bytes:
    """Return what a message's packets hold, joined."""
    return b"".join(wire.captured(start, end) for start, end in unit.spans)


class Packets:
    """Reads one side: messages, and the TLS stream among them."""

    def __init__(self, side: StreamSide) -> None:
        self.wire = Wire(side)
        self._side = side
        self._tls: list[tuple[int, int]] = []  # (start, end) of TLS bytes
        self._sessions: dict[int, list[tuple[int, int]]] = {}  # of SMP: id → (start, end) of what its packets carry

    def units(self) -> Iterator[Unit]:
        wire, data, at = self.wire, self.wire.data, 0
        lost = wire.starts_midway and not (is_packet(data, 0) or (data and is_smp(data, 0)))
        unit: Unit | None = None
        while at < len(data):
            if gap := wire.gap_in(at, at + HEADER_BYTES):
                if unit:
                    unit.error = unit.error or f"gap: {gap[2]} bytes missing at {gap[0]}"
                    yield unit
                    unit = None
                at, lost = gap[1], True
                continue
            if lost:
                at, lost = resume(data, at), False
                continue
            if self._tls and data[at] in _TLS_TYPES and data[at + 1 : at + 2] == b"\x03":
                end = min(wire.after(at + 5, int.from_bytes(data[at + 3 : at + 5], "big")), len(data))
                self._tls.append((at, end))
                at = max(end, at + 1)
                continue
            if is_smp(data, at):
                end = min(wire.after(at, int.from_bytes(data[at + 4 : at + 8], "little")), len(data))
                session = int.from_bytes(data[at + 2 : at + 4], "little")
                if end > at + SMP_BYTES and (session in self._sessions or len(self._sessions) < MAX_SESSIONS):
                    self._sessions.setdefault(session, []).append((at + SMP_BYTES, end))
                at = max(end, at + SMP_BYTES)
                continue
            if not is_packet(data, at):
                if unit:
                    yield unit
                    unit = None
                is_tail = len(data) - at < HEADER_BYTES
                end = len(data) if is_tail else resume(data, at + 1)
                kind = "truncated" if is_tail else "malformed"
                yield Unit(at, end, 0, error=f"{kind}: {end - at} bytes at {at} are no packet")
                at = end
                continue
            if unit and unit.type != data[at]:
                unit.error = unit.error or "truncated: another message begins before its last packet"
                yield unit
                unit = None
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            end = wire.after(at + HEADER_BYTES, length - HEADER_BYTES)
            stop = min(end, len(data))
            if (
                data[at] == PRELOGIN
                and data[at + 8 : at + 9] != b"\0"
                and _is_tls(data, at + HEADER_BYTES, bool(self._tls))
            ):
                self._tls.append((at + HEADER_BYTES, stop))
                at = stop
                continue
            unit = unit or Unit(at, stop, data[at])
            unit.end = stop
            unit.spans.append((at + HEADER_BYTES, stop))
            if gap := wire.gap_in(at, stop):
                unit.error = unit.error or f"gap: {gap[2]} bytes missing at {gap[0]}"
            elif end > stop:
                unit.error = unit.error or f"truncated: {end - stop} bytes of a packet were not captured"
            if data[at + 1] & END_OF_MESSAGE:
                unit.is_complete = True
                yield unit
                unit = None
            at = stop
        if unit:
            yield unit

    def tls(self) -> CarvedSide | None:
        """Return the TLS stream that `units` came across; None if there was none."""
        return self._carved(self._tls) if self._tls else None

    @property
    def sessions(self) -> frozenset[int]:
        """Return the ids of the SMP sessions that `units` came across."""
        return frozenset(self._sessions)

    def session(self, number: int) -> CarvedSide:
        """Return what one session carried; nothing for one that this side did not use."""
        return self._carved(self._sessions.get(number, []))

    def _carved(self, spans: Sequence[tuple[int, int]]) -> CarvedSide:
        data, pieces, gaps = bytearray(), list[tuple[int, int, int]](), list[tuple[int, int, int]]()
        for start, end in spans:
            if gap := self.wire.gap_in(start, end):
                gaps.append((len(data), len(data), gap[2]))
            found = self.wire.captured(start, end)
            if found:
                pieces.append((len(data), start, end))
                data += found
        return carved(self._side, bytes(data), pieces, gaps)


def _is_tls(data: bytes, at: int, is_going_on: bool) -> bool:
    """Say whether a PRELOGIN packet carries TLS: a record, or once there was one, anything."""
    return is_going_on or (data[at : at + 1] == b"\x16" and data[at + 1 : at + 2] == b"\x03")
