"""Writes packets of a store as pcap or pcapng, in the order in which they were captured.

One source: by its packets' ordinals. Several: by time, then ordinal. Segments are merged while they are read, so that
memory holds the selected packets of those segments that overlap, never the store.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from kubeshark.core_capture._columns import Core
from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._records import Interface, PacketExtra, RawBlock, SourceMetadata
from kubeshark.core_capture.files import (
    DECRYPTION_SECRETS,
    SECTION_HEADER,
    PcapngWriter,
    make_statistics,
    merge_sources,
    write_pcap,
)
from kubeshark.core_capture.store._limits import SNAPLEN
from kubeshark.core_capture.store._store import Store
from kubeshark.core_capture.store.segments._extras import Extras
from kubeshark.core_capture.store.segments._info import Counters, SegmentInfo, SourceRecord
from kubeshark.core_capture.store.segments._reader import SegmentReader
from kubeshark.errors import Damaged, StoreError, UsageError

__all__ = ["Exported", "Keep", "Select", "export"]

Select = Callable[[SegmentReader], NDArray[np.bool_] | None]
"""Says which flows of a segment to export, one bool per flow in cluster order; None: all packets, flow or not."""

Keep = Callable[[SegmentReader, bytes | bytearray | memoryview, NDArray[Any]], NDArray[np.bool_]]
"""Says which of a segment's records, at these offsets of some bytes, to export: one bool a record."""

_SourceKey = tuple[str, str]
_LINKTYPE_ETHERNET = 1
_EVER, _FOREVER = -(2**63), 2**63 - 1
_NO_EXTRA = PacketExtra()


class Exported(Struct, frozen=True):
    """What was written, and segments that could not be read."""

    packets: int
    problems: tuple[StoreError, ...]


class _Packets(Struct, frozen=True):
    """Records one behind the other, in the order of export; all arrays have one row a record."""

    data: bytes | bytearray | memoryview
    offsets: NDArray[Any]  # u8
    keys: NDArray[Any]  # i8: ordinals, or times where sources are mixed
    ordinals: NDArray[Any]  # i8
    extras: list[PacketExtra]  # empty for pcap

    def part(self, start: int, stop: int) -> _Packets:
        """Return records [start, stop): views, no copies."""
        bounds = np.append(self.offsets[start:stop], np.uint64(self._end(stop)))
        low, high = int(bounds[0]), int(bounds[-1])
        return _Packets(
            memoryview(self.data)[low:high],
            bounds[:-1] - np.uint64(low),
            self.keys[start:stop],
            self.ordinals[start:stop],
            self.extras[start:stop],
        )

    def sorted(self, order: NDArray[Any], core: Core) -> _Packets:
        """Return the records in another order, or only some of them."""
        sizes = np.diff(self.offsets, append=np.uint64(len(self.data)))[order]
        return _Packets(
            core.gather(self.data, self.offsets, order),
            np.cumsum(sizes) - sizes,
            self.keys[order],
            self.ordinals[order],
            [self.extras[at] for at in order.tolist()] if self.extras else [],
        )

    def _end(self, record: int) -> int:
        return int(self.offsets[record]) if record < len(self.offsets) else len(self.data)


class _Stream(Struct):
    """A segment's packets on their way out."""

    packets: _Packets
    at: int = 0

    def take(self, horizon: int | None) -> _Packets:
        """Return the packets up to the first whose key is not below the horizon; None: all that are left."""
        start, keys = self.at, self.packets.keys
        if not start and (horizon is None or not len(keys) or int(keys[-1]) < horizon):
            self.at = len(keys)
            return self.packets
        self.at = len(keys) if horizon is None else int(np.searchsorted(keys, horizon, side="left"))
        return self.packets.part(start, self.at)


def export(
    store: Store,
    out: BinaryIO,
    *,
    form: Literal["pcap", "pcapng"],
    select: Select | None = None,
    keep: Sequence[Keep] = (),
    since_ns: int | None = None,
    until_ns: int | None = None,
    segments: Sequence[SegmentInfo] | None = None,
) -> Exported:
    """Write the selected packets of these segments (default: all) whose time lies in [since_ns, until_ns].

    `select` chooses flows; of their packets go out those that each of `keep` does not leave out.

    pcap holds one link type: raise UsageError, before anything is written, if several are selected, and for another
    format. A damaged segment is left out and returned as a problem.
    """
    if form not in ("pcap", "pcapng"):
        raise UsageError(f"no format {form!r}: packets are written as pcap or pcapng")
    job = _Export(store, select, keep, since_ns, until_ns, with_extras=form == "pcapng")
    chosen = job.choose(store.segments() if segments is None else segments)
    if form == "pcap":
        link_type = _only_link_type(chosen)
        write_pcap(out, link_type, map(_data, job.merged(chosen)))
    else:
        metadata = job.read_metadata()
        try:
            with PcapngWriter(out, metadata) as writer:
                for packets in job.merged(chosen):
                    _write_packets(writer, packets)
        except (ValueError, OverflowError, struct.error) as error:
            # Only an index that is authentic and yet not ours says things that no pcapng can hold.
            raise Damaged(f"its pcapng metadata cannot be written: {error}", file=store.location) from error
    return Exported(job.packets, tuple(job.problems))


def _data(packets: _Packets) -> bytes | bytearray | memoryview:
    return packets.data


def _only_link_type(chosen: Sequence[SegmentInfo]) -> int:
    found = sorted({info.link_type for info in chosen})
    if len(found) > 1:
        listed = ", ".join(map(str, found))
        message = f"the packets have {len(found)} link types ({listed}), a pcap file has one"
        raise UsageError(message, hint="use --format pcapng")
    return found[0] if found else _LINKTYPE_ETHERNET


def _write_packets(writer: PcapngWriter, packets: _Packets) -> None:
    data = bytes(packets.data)
    starts = packets.offsets.tolist()
    ends = [*starts[1:], len(data)]
    for start, end, ordinal, extra in zip(starts, ends, packets.ordinals.tolist(), packets.extras, strict=True):
        writer.write_packet(data[start:end], extra, ordinal=ordinal)


class _Export:
    """One run: what it selects, and what it met."""

    def __init__(
        self,
        store: Store,
        select: Select | None,
        keep: Sequence[Keep],
        since_ns: int | None,
        until_ns: int | None,
        *,
        with_extras: bool,
    ) -> None:
        self.packets = 0
        self.problems: list[StoreError] = []
        self._store, self._select, self._keep = store, select, keep
        self._core, self._with_extras = load_core(), with_extras
        self._since = _EVER if since_ns is None else max(since_ns, _EVER)
        self._until = _FOREVER if until_ns is None else min(until_ns, _FOREVER)
        self._selected: dict[str, NDArray[np.bool_]] = {}  # what `select` said of segments not read yet
        self._sources: list[_SourceKey] = []
        self._shifts: list[int] = [0]  # by source: where its interfaces begin in the output

    def choose(self, segments: Sequence[SegmentInfo]) -> list[SegmentInfo]:
        """Return the segments to read: all in the time span, and only those with something selected if that matters.

        It matters where they differ in link type or source: both are told before the first packet is.
        """
        chosen = [
            info for info in segments if info.packets and info.first_ns <= self._until and info.last_ns >= self._since
        ]
        is_mixed = len({(info.link_type, _source_key(info.source)) for info in chosen}) > 1
        if self._select is not None and is_mixed:
            chosen = [info for info in chosen if self._has_selected(info, self._select)]
        # Without any packet an export still tells what the sources said about themselves.
        self._sources = sorted({_source_key(info.source) for info in chosen or segments})
        return chosen

    def _has_selected(self, info: SegmentInfo, select: Select) -> bool:
        try:
            with self._store.open_segment(info.name) as segment:
                flows = select(segment)
        except StoreError as error:
            error.forget_frames()
            self.problems.append(error)
            return False
        if flows is None:
            return True
        self._selected[info.name] = flows
        return bool(flows.any())

    def read_metadata(self) -> SourceMetadata:
        """Put together what the sources said about themselves, of all their segments, and TLS secrets stored later."""
        parts: dict[_SourceKey, list[Extras]] = {key: [] for key in self._sources}
        link_types: dict[_SourceKey, int] = {}  # of sources with packets
        ends: dict[_SourceKey, int] = {}  # time of their last packet
        secrets: list[RawBlock] = []
        for info in self._store.segments():
            key = _source_key(info.source)
            if key not in parts and (info.packets or not info.source.blocks):
                continue
            try:
                with self._store.open_segment(info.name) as segment:
                    extras = segment.extras
            except StoreError as error:
                error.forget_frames()
                self.problems.append(error)
                continue
            if key in parts:
                parts[key].append(extras)
            else:
                secrets += [block for block in extras.metadata.blocks if block.block_type == DECRYPTION_SECRETS]
            if info.packets:
                link_types[key] = info.link_type
                ends[key] = max(ends.get(key, 0), info.last_ns)
        sources = [_join_metadata(parts[key], link_types.get(key), ends.get(key, 0)) for key in self._sources]
        if len(sources) == 1:
            merged = sources[0]
        else:
            merged, self._shifts = merge_sources(sources)
        place = 1 if merged.blocks and merged.blocks[0].block_type == SECTION_HEADER else 0
        merged.blocks[place:place] = secrets
        return merged

    def merged(self, chosen: Sequence[SegmentInfo]) -> Iterator[_Packets]:
        """Yield all selected packets, in order."""
        waiting = sorted(chosen, key=self._first_key, reverse=True)
        active: list[_Stream] = []
        while waiting or active:
            if waiting:
                stream = self._open(waiting.pop())
                active += [stream] if stream else []
            horizon = self._first_key(waiting[-1]) if waiting else None
            parts = [stream.take(horizon) for stream in active]
            active = [stream for stream in active if stream.at < len(stream.packets.offsets)]
            parts = [part for part in parts if len(part.offsets)]
            if parts:
                packets = parts[0] if len(parts) == 1 else self._mix(parts)
                self.packets += len(packets.offsets)
                yield packets
                del packets  # before the next is made: its memory is used again
            del parts

    def _first_key(self, info: SegmentInfo) -> int:
        return info.source.first_ordinal if len(self._sources) == 1 else info.first_ns

    def _mix(self, parts: list[_Packets]) -> _Packets:
        starts = np.cumsum([0, *(len(part.data) for part in parts[:-1])], dtype=np.uint64)
        packets = _Packets(
            b"".join(part.data for part in parts),
            np.concatenate([part.offsets + start for part, start in zip(parts, starts, strict=True)]),
            np.concatenate([part.keys for part in parts]),
            np.concatenate([part.ordinals for part in parts]),
            [extra for part in parts for extra in part.extras],
        )
        return packets.sorted(np.lexsort((packets.ordinals, packets.keys)), self._core)

    def _open(self, info: SegmentInfo) -> _Stream | None:
        """Return the selected packets of a segment; None if there are none."""
        flows = self._selected.pop(info.name, None)
        try:
            # An index that is not kept leaves its memory to the next one: new pages cost more than reading it.
            with self._store.open_segment(info.name, keep=flows is not None or self._with_extras) as segment:
                if flows is None and self._select is not None:
                    flows = self._select(segment)
                if flows is not None and not flows.any():
                    return None
                return _Stream(self._read(segment, flows))
        except StoreError as error:
            error.forget_frames()
            self.problems.append(error)
            return None

    def _read(self, segment: SegmentReader, flows: NDArray[np.bool_] | None) -> _Packets:
        """Return a segment's selected packets in capture order."""
        extras = segment.extras
        takes_all = not self._is_windowed and not self._keep
        if extras.ordinals is None and not extras.packets and not self._with_extras and takes_all:
            return self._by_time(segment, flows, extras)
        true = {place: extra.time_ns for place, extra in extras.packets.items() if extra.time_ns is not None}
        read = self._whole if true or not self._is_windowed else self._window
        data, offsets, places = read(segment, flows, extras)
        times = _times(data, offsets)
        for at in np.flatnonzero(np.isin(places, list(true))).tolist() if true else ():
            times[at] = min(max(true[int(places[at])], _EVER), _FOREVER)
        ordinals, order = _ordinals(extras, segment.info.source, times, places)
        keys = times if len(self._sources) > 1 else ordinals
        if extras.ordinals is not None and keys is times:
            order = np.lexsort((ordinals, times))
        if self._is_windowed:
            order = order[(times[order] >= self._since) & (times[order] <= self._until)]
        for keep in self._keep:
            order = order[keep(segment, data, offsets)[order]]
        kept: list[PacketExtra] = []
        if self._with_extras:
            shift = self._shifts[self._sources.index(_source_key(segment.info.source))]
            kept = [_shifted(extras.packets.get(place, _NO_EXTRA), shift) for place in places.tolist()]
        return _Packets(data, offsets, keys, ordinals, kept).sorted(order, self._core)

    def _by_time(self, segment: SegmentReader, flows: NDArray[np.bool_] | None, extras: Extras) -> _Packets:
        """Return what `_read` does where times and ties give the order: the core sorts while it copies."""
        ties = None
        if extras.ties is not None:
            ties = extras.ties.of(segment.places(flows))
        try:
            data, offsets, times = self._core.by_time(segment.parts(flows), ties)
        except IndexError:
            raise Damaged("its records are not those its index counts", file=segment.name) from None
        last = segment.info.source.last_ordinal
        ordinals = np.arange(last - len(offsets) + 1, last + 1)
        return _Packets(data, offsets, times.view(np.int64) if len(self._sources) > 1 else ordinals, ordinals, [])

    @property
    def _is_windowed(self) -> bool:
        return self._since > _EVER or self._until < _FOREVER

    def _whole(
        self, segment: SegmentReader, flows: NDArray[np.bool_] | None, extras: Extras
    ) -> tuple[bytes | memoryview, NDArray[Any], NDArray[Any]]:
        """Return (records, their offsets, their places in the pcap) of the selected flows."""
        data = segment.select(flows)
        offsets, end = self._core.offsets(data)
        # Records lie in order of place: where places only break ties, any ascending numbers do.
        places = _places(segment, flows) if _needs_places(extras) else np.arange(len(offsets), dtype=np.uint64)
        if end != len(data) or len(offsets) != len(places):
            raise Damaged("its records are not those its index counts", file=segment.name)
        return data, offsets, places

    def _window(
        self, segment: SegmentReader, flows: NDArray[np.bool_] | None, extras: Extras
    ) -> tuple[bytes | memoryview, NDArray[Any], NDArray[Any]]:
        """Return the same of the packets in the time window alone: whatever lies outside is dropped block by block."""
        needs_places = _needs_places(extras)
        since, until = (_EVER, _FOREVER) if needs_places else (self._since, self._until)  # a place counts all before
        kept: list[bytes | bytearray | memoryview] = []
        numbers: list[NDArray[Any]] = []
        before = 0
        for piece in segment.pieces(flows, since, until):
            offsets, end = self._core.offsets(piece)
            if end != len(piece):
                raise Damaged("its records are not those its index counts", file=segment.name)
            times = _times(piece, offsets)
            chosen = np.flatnonzero((times >= self._since) & (times <= self._until))
            kept.append(self._core.gather(piece, offsets, chosen))
            numbers.append(chosen + before)
            before += len(offsets)
        data = b"".join(kept)
        places = np.concatenate([np.empty(0, dtype=np.int64), *numbers]).astype(np.uint64)
        if needs_places:
            places = _places(segment, flows)[places.astype(np.intp)]
        return data, self._core.offsets(data)[0], places


def _places(segment: SegmentReader, flows: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Return the place (u8) of each record that is selected."""
    runs = [np.arange(first, stop, dtype=np.uint64) for first, stop in segment.places(flows)]
    return np.concatenate([np.empty(0, dtype=np.uint64), *runs])


def _needs_places(extras: Extras) -> bool:
    return extras.ordinals is not None or extras.ties is not None or bool(extras.packets)


def _source_key(source: SourceRecord) -> _SourceKey:
    return source.sha256, source.name


def _join_metadata(parts: list[Extras], link_type: int | None, end_ns: int) -> SourceMetadata:
    """Each segment has the interfaces known when it was sealed, and the blocks that came since the one before.

    What a capture of ours counted becomes interface statistics, as of the time of the last packet.
    Packets of a source that names no interface get one. Secrets that an import added lie last and belong first.
    """
    parts = sorted(parts, key=lambda part: part.first_block)
    interfaces = max((part.metadata.interfaces for part in parts), key=len, default=[])
    if not interfaces and link_type is not None:
        interfaces = [Interface(link_type, SNAPLEN, units_per_second=1_000_000_000)]
    blocks = list[RawBlock]()
    done = 0  # a block that lay in the logs of two segments is in both
    for part in parts:
        blocks += part.metadata.blocks[max(done - part.first_block, 0) :]
        done = max(done, part.first_block + len(part.metadata.blocks))
    counters = max((part.counters for part in parts), key=_seen, default=())
    for number, (interface, counted) in enumerate(zip(interfaces, counters, strict=False)):
        counts = {
            "received": counted.received,
            "interface_dropped": counted.dropped,
            "accepted": max(counted.received - counted.filtered, 0),
            "system_dropped": counted.lost,
            "delivered": counted.stored,
        }
        blocks.append(make_statistics(number, interface, end_ns, counts))
    blocks.sort(key=lambda block: (block.section, block.before_ordinal))
    return SourceMetadata("pcapng", interfaces=interfaces, blocks=blocks)


def _seen(counters: tuple[Counters, ...]) -> int:
    """The later of two counts of a capture is the larger."""
    return sum(each.received + each.lost + each.stored for each in counters)


def _times(data: bytes | bytearray | memoryview, offsets: NDArray[Any]) -> NDArray[Any]:
    """Return i8 nanoseconds of each record."""
    if not len(offsets):
        return np.empty(0, dtype=np.int64)
    words = np.ndarray((len(data) - 3,), "<u4", data, strides=(1,))  # a number at every byte: records are not aligned
    at = offsets.astype(np.intp)
    times: NDArray[Any] = words[at] * np.int64(1_000_000_000) + words[at + 4]
    return times


def _ordinals(
    extras: Extras, source: SourceRecord, times: NDArray[Any], places: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return i8 ordinals in the source, and the order that sorts them.

    Where the index holds none, times give the order, and the ordinals if all packets are here. Otherwise they are the
    latest possible ones: a block that stood before a packet is written before it.
    """
    if extras.ordinals is not None:
        ordinals = extras.ordinals[places.astype(np.intp)].astype(np.int64)
        return ordinals, np.argsort(ordinals)
    if extras.ties is not None:
        order = np.lexsort((extras.ties.whole[places.astype(np.intp)], times))
    else:
        order = np.argsort(times, kind="stable")  # places ascend
    ordinals = np.empty(len(order), dtype=np.int64)
    ordinals[order] = np.arange(source.last_ordinal - len(order) + 1, source.last_ordinal + 1)
    return ordinals, order


def _shifted(extra: PacketExtra, shift: int) -> PacketExtra:
    return replace(extra, interface=extra.interface + shift) if shift else extra
