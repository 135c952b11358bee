"""Packets of streams that scripts have seen, as PCAP: for who was granted to write them in the clear."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from typing import TYPE_CHECKING

from kubeshark.core_capture._records import RECORD_HEADER_BYTES, RecordBatch
from kubeshark.core_capture.files import open_capture
from kubeshark.errors import KubesharkError

if TYPE_CHECKING:
    from kubeshark.pipeline.entries._entry import Entry
    from kubeshark.pipeline.reading._segments import Segment

__all__ = ["MAX_PCAP_BYTES", "NoPackets", "SeenStreams", "merge_pcaps", "packets_of"]

MAX_STREAMS = 100_000
MAX_PCAP_BYTES = 256 << 20
_NS = 1_000_000_000
_ETHERNET, _RAW, _RAW_IP, _LINUX_SLL = 1, 101, 12, 113
_IP_AT = {_ETHERNET: 14, _RAW: 0, _RAW_IP: 0, _LINUX_SLL: 16}
_FRAGMENT = 0x3FFF  # more fragments, or an offset
_HEADER = Struct("<IHHiIII")
_NANOSECONDS = 0xA1B23C4D
_RECORD = Struct("<IIII")
_SNAPLEN = 262_144
HOUR_NS = 3_600 * 1_000_000_000


class NoPackets(ValueError):
    """These packets cannot be given: one line."""


class SeenStreams:
    """Where the packets of each stream lie: names and rows, never the packets themselves."""

    def __init__(self) -> None:
        self._parts: OrderedDict[str, set[tuple[str, int]]] = OrderedDict()
        self._last_ns: dict[str, int] = {}
        self._lock = threading.Lock()
        self.open: Callable[[str], Segment] | None = None  # by name; None: packets cannot be read any more

    def add(self, entries: Iterable[Entry]) -> None:
        with self._lock:
            for entry in entries:
                self._add(entry)

    def _add(self, entry: Entry) -> None:
        stream = entry.facts.stream
        parts = self._parts.setdefault(stream, set())
        parts.update((segment.name, row) for segment, row in entry.facts.parts)
        self._last_ns[stream] = max(entry.start_ns, self._last_ns.get(stream, 0))
        if len(self._parts) > MAX_STREAMS:
            forgotten, _ = self._parts.popitem(last=False)
            self._last_ns.pop(forgotten, None)

    def __contains__(self, stream: object) -> bool:
        return stream in self._parts

    def of_last_hour(self) -> list[str]:
        """Return the streams of the hour before the latest entry."""
        with self._lock:
            times = dict(self._last_ns)
        since = max(times.values(), default=0) - HOUR_NS
        return [stream for stream, last_ns in times.items() if last_ns >= since]

    def pcap(self, streams: Sequence[str]) -> bytes:
        """Return all packets of the streams as one PCAP, in the order of time. NoPackets says why not."""
        if self.open is None:
            raise NoPackets("the packets are not here any more")
        wanted: dict[str, set[int]] = {}
        with self._lock:
            for stream in streams:
                if stream not in self._parts:
                    raise NoPackets(f"unknown stream {str(stream)[:40]!r}")
                for name, row in self._parts[stream]:
                    wanted.setdefault(name, set()).add(row)
        pieces: list[tuple[int, bytes]] = []
        link_types: set[int] = set()
        for name, rows in wanted.items():
            try:
                segment = self.open(name)
                link_types.add(segment.link_type)
                pieces += [(segment.link_type, bytes(each)) for each in segment.records(sorted(rows))]
            except KubesharkError as error:
                raise NoPackets(error.message) from error
        return _joined(pieces, link_types)


def merge_pcaps(files: Sequence[bytes]) -> bytes:
    """Return one PCAP of the packets of several, in the order of time."""
    pieces: list[tuple[int, bytes]] = []
    for data in files:
        with open_capture(io.BytesIO(data), name="script") as reader:
            pieces += [(batch.link_type, bytes(batch.data)) for batch in reader]
    return _joined(pieces, {link_type for link_type, _ in pieces})


def _joined(pieces: Sequence[tuple[int, bytes]], link_types: set[int]) -> bytes:
    if len(link_types) > 1:
        raise NoPackets("streams of different link types do not fit one PCAP")
    if sum(len(data) for _, data in pieces) > MAX_PCAP_BYTES:
        raise NoPackets(f"more than {MAX_PCAP_BYTES >> 20} MiB of packets")
    records: list[tuple[tuple[int, int], bytes]] = []
    for _, data in pieces:
        at = 0
        while at + RECORD_HEADER_BYTES <= len(data):
            seconds, nanoseconds, captured, _original = _RECORD.unpack_from(data, at)
            end = at + RECORD_HEADER_BYTES + captured
            records.append(((seconds, nanoseconds), data[at:end]))
            at = end
    records.sort(key=lambda record: record[0])
    link_type = next(iter(link_types), 1)
    return b"".join((_HEADER.pack(_NANOSECONDS, 2, 4, 0, 0, _SNAPLEN, link_type), *(record for _, record in records)))


def packets_of(batch: RecordBatch) -> list[tuple[int, int, int, bool]]:
    """Return (time in ns since 1970, captured bytes, original bytes, is a fragment) of each packet."""
    found = []
    data, at = memoryview(batch.data), 0
    ip_at = _IP_AT.get(batch.link_type)
    for index in range(batch.count):
        seconds, nanoseconds, captured, original = _RECORD.unpack_from(data, at)
        extra = batch.extras.get(index)
        time_ns = seconds * _NS + nanoseconds if extra is None or extra.time_ns is None else extra.time_ns
        at += RECORD_HEADER_BYTES
        is_fragment = False
        if ip_at is not None and captured >= ip_at + 8 and data[at + ip_at] >> 4 == 4:
            is_fragment = bool(int.from_bytes(data[at + ip_at + 6 : at + ip_at + 8], "big") & _FRAGMENT)
        found.append((time_ns, captured, original, is_fragment))
        at += captured
    return found
