"""Captures written packet by packet, held in segments, and queries over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from struct import pack
from typing import Any

from kubeshark.core_capture import RecordBatch, load_core
from kubeshark.errors import PluginError
from kubeshark.extension_api import CLIENT, SERVER
from kubeshark.pipeline import Entry, Plugins
from kubeshark.pipeline.dissection._dissect import Dissector
from kubeshark.pipeline.entries._facts import Origin
from kubeshark.pipeline.query._filter import EntryFilter
from kubeshark.pipeline.query._query import Query, QueryOptions
from kubeshark.pipeline.query._rows import itself
from kubeshark.pipeline.reading._continued import Elsewhere
from kubeshark.pipeline.reading._segments import MemorySegment, Segment
from tests.core_capture.reference._packets import RAW, A, B, record, tcp, udp

__all__ = ["GET", "MS", "OK", "SECOND", "START_NS", "Capture", "Connection", "dns", "find", "make_query"]

PCAP_HEADER = pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, RAW)
SECOND, MS = 10**9, 10**6
START_NS = 1_700_000_000 * SECOND
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@dataclass
class Capture:
    """Packets, each a millisecond after the one before."""

    now_ns: int = START_NS
    records: list[bytes] = field(default_factory=list)

    def add(self, packet: bytes, original: int | None = None) -> None:
        self.records.append(record(packet, self.now_ns, original))
        self.now_ns += MS

    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND)

    def pcap(self) -> bytes:
        """Return the capture as a file."""
        return PCAP_HEADER + b"".join(self.records)

    def segments(self, *cuts: int) -> list[MemorySegment]:
        """Return segments s0, s1, … that begin at these packets."""
        bounds = [0, *cuts, len(self.records)]
        return [
            MemorySegment.of(f"s{number}", [batch(self.records[low:high])], load_core())
            for number, (low, high) in enumerate(pairwise(bounds))
        ]


def batch(records: Sequence[bytes]) -> RecordBatch:
    return RecordBatch(RAW, b"".join(records), range(len(records)))


@dataclass
class Connection:
    """One TCP connection of a capture."""

    capture: Capture
    port: int = 80
    client_port: int = 40_000
    ends: tuple[str, str] = (A, B)
    sequence: list[int] = field(default_factory=lambda: [1000, 5000])

    def open(self) -> Connection:
        self._packet(CLIENT, b"", "S")
        self._packet(SERVER, b"", "SA")
        return self

    def ask(self, data: bytes = GET) -> Connection:
        return self._packet(CLIENT, data, "PA")

    def answer(self, data: bytes = OK) -> Connection:
        return self._packet(SERVER, data, "PA")

    def lose(self, side: int, size: int) -> Connection:
        """Let the next bytes of a side go by without being captured."""
        self.sequence[side] += size
        return self

    def end(self, side: int, flags: str = "FA") -> Connection:
        return self._packet(side, b"", flags)

    def _packet(self, side: int, data: bytes, flags: str) -> Connection:
        ports, ends = (self.client_port, self.port), self.ends
        if side == SERVER:
            ports, ends = ports[::-1], ends[::-1]
        self.capture.add(tcp(data, self.sequence[side], flags, ports, ends))
        self.sequence[side] += len(data) + ("S" in flags or "F" in flags)
        return self


def dns(number: int, name: bytes = b"\x01a\x04test\x00", *, answer: bool = False, client_port: int = 33_000) -> bytes:
    """A DNS query, or its answer without records, as an IP packet."""
    message = pack(">6H", number, 0x8180 if answer else 0x0100, 1, 0, 0, 0) + name + pack(">HH", 1, 1)
    return udp(message, (53, client_port), (B, A)) if answer else udp(message, (client_port, 53))


def make_query(
    segments: Sequence[Segment],
    kfl: str = "",
    plugins: Plugins | None = None,
    problems: list[PluginError] | None = None,
    elsewhere: Elsewhere | None = None,
    make: Callable[[Entry], Any] = itself,
    **options: Any,
) -> Query[Any]:
    """Return a query that has not run; `problems` gets what plugins do wrong."""
    plugins = plugins or Plugins()
    entry_filter = EntryFilter(kfl, plugins, now_ns=START_NS)
    origin = Origin("file", "", entry_filter.variables, plugins.display)
    dissector = Dissector(load_core(), plugins, [] if problems is None else problems, origin)
    chosen = QueryOptions(**options)
    return Query(segments, dissector, entry_filter, entry_filter.predicate, make, chosen, elsewhere=elsewhere)


def find(capture: Capture, kfl: str = "", plugins: Plugins | None = None, cuts: Sequence[int] = ()) -> list[Entry]:
    return list(make_query(capture.segments(*cuts), kfl, plugins))
