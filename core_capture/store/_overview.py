"""What a store holds by protocol and by capture: added up from its indexes, no packet is read."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from msgspec import Struct

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._groups import Groups
from kubeshark.core_capture._records import RawBlock
from kubeshark.core_capture.store.catalogue._state import load_state
from kubeshark.core_capture.store.keys._age_format import NotForUsError
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import size_of
from kubeshark.core_capture.store.segments._info import Counters, SegmentInfo, SourceRecord
from kubeshark.core_capture.store.segments._reader import IndexFile
from kubeshark.core_capture.store.upkeep._snapshots import Snapshot, load_snapshots
from kubeshark.core_capture.store.writing._log import LogProblem, OpenSegment, read_log
from kubeshark.errors import Damaged, StoreError

__all__ = ["CaptureRow", "LogRow", "Overview", "ProtocolRow", "make_overview"]

_STATISTICS = 5  # pcapng block type: interface statistics, §4.6
_LOST_OPTIONS = (5, 7)  # isb_ifdrop, isb_osdrop: dropped by the interface for want of room, by the operating system


class ProtocolRow(Struct, frozen=True):
    """Flows to one server port, added up; a flow counts once in each segment it runs through."""

    transport: int  # IP protocol number
    port: int
    flows: int
    packets: int
    bytes: int


class CaptureRow(Struct, frozen=True):
    """One import or live session."""

    name: str
    sha256: str  # of the source, "" where it has none
    segments: int
    packets: int
    first_ns: int
    last_ns: int
    complete: bool  # the source was read to its end
    lost_packets: int | None  # by who captured them; None where the source does not say
    counters: Counters | None  # of a capture of ours, as its newest segment or log has them


class LogRow(Struct, frozen=True):
    """A segment that is not sealed."""

    name: str
    source: str
    packets: int
    bytes: int  # of records
    first_ns: int
    last_ns: int
    problems: tuple[str, ...]


class Overview(Struct, frozen=True):
    protocols: tuple[ProtocolRow, ...]  # most bytes first
    captures: tuple[CaptureRow, ...]  # in time order
    logs: tuple[LogRow, ...]  # by name
    log_problems: tuple[LogProblem, ...]  # of those and of logs of which nothing can be read
    snapshots: tuple[Snapshot, ...]  # none where nobody here can read them
    compression: float | None  # captured bytes for each byte of segment files
    lost_packets: int | None
    pruned: int  # segments that retention deleted
    rotation: tuple[str, ...]  # recipients of a rotation that did not end
    problems: tuple[StoreError, ...] = ()  # what could not be read, beyond segments


def make_overview(
    files: Backend,
    identities: Sequence[Identity],
    segments: Iterable[SegmentInfo],
    index: Callable[[str], IndexFile],
    sizes: Mapping[str, int],
) -> Overview:
    """Add up these segments, whose files have these sizes; those whose index cannot be read count in captures only."""
    segments = list(segments)
    protocols: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    statistics: dict[tuple[str, str], dict[tuple[int, int], int]] = {}
    for info in segments:
        try:
            file = index(info.name)
            _add_protocols(protocols, file)
            lost = statistics.setdefault((info.source.sha256, info.source.name), {})
            lost.update(_lost(file.extras.metadata.blocks))
        except (StoreError, FileNotFoundError):
            continue
    rows = (ProtocolRow(*key, *counts) for key, counts in protocols.items())
    logs, log_problems = read_log(files, identities)
    captures = _captures(segments, statistics, [each.draft.source for each in logs])
    state = load_state(files)
    snapshots, problems = list[Snapshot](), list[StoreError]()
    try:
        snapshots = load_snapshots(files, identities)
    except NotForUsError:
        pass
    except Damaged as error:
        error.forget_frames()
        problems.append(error)
    known = [row.lost_packets for row in captures if row.lost_packets is not None]
    stored = sum(size_of(sizes, info.name) for info in segments)
    captured = sum(info.captured_bytes for info in segments if size_of(sizes, info.name))  # not of open ones
    return Overview(
        protocols=tuple(sorted(rows, key=lambda row: (-row.bytes, row.transport, row.port))),
        captures=tuple(captures),
        logs=tuple(_log_row(each) for each in logs),
        log_problems=tuple(log_problems),
        snapshots=tuple(snapshots),
        compression=round(captured / stored, 2) if stored and captured else None,
        lost_packets=sum(known) if known else None,
        pruned=sum(record.last - record.first + 1 for record in state.removed if record.why == "pruned"),
        rotation=tuple(state.rotation.recipients if state.rotation else ()),
        problems=tuple(problems),
    )


def _add_protocols(protocols: dict[tuple[int, int], list[int]], file: IndexFile) -> None:
    flows = file.index.flows.clustered
    port = np.where(flows["client"] == 1, flows["port_a"], flows["port_b"]).astype(np.int64)
    ports = Groups(flows["transport"].astype(np.int64) << 16 | port)
    counts = np.zeros((len(ports.known), 3), dtype=np.int64)
    for column, values in enumerate(
        (np.ones(len(port), dtype=np.int64), flows["packets"].sum(axis=1), flows["bytes"].sum(axis=1))
    ):
        np.add.at(counts[:, column], ports.number, values.astype(np.int64))
    for key, added in zip(ports.known.tolist(), counts.tolist(), strict=True):
        total = protocols[key >> 16, key & 0xFFFF]
        for at, value in enumerate(added):
            total[at] += value


def _log_row(segment: OpenSegment) -> LogRow:
    data = segment.draft.data
    offsets, _end = load_core().offsets(data)
    words = np.ndarray((len(data) - 3,), "<u4", data, strides=(1,))  # a number at every byte: records are not aligned
    at = offsets.astype(np.intp)
    times = words[at] * np.int64(1_000_000_000) + words[at + 4]
    return LogRow(
        name=segment.name,
        source=segment.draft.source.name,
        packets=segment.packets,
        bytes=segment.size,
        first_ns=int(times.min()),
        last_ns=int(times.max()),
        problems=tuple(map(str, segment.problems)),
    )


def _captures(
    segments: list[SegmentInfo],
    statistics: dict[tuple[str, str], dict[tuple[int, int], int]],
    logged: Iterable[SourceRecord],
) -> list[CaptureRow]:
    counted: dict[tuple[str, str], Counters] = {}
    for record in (*(info.source for info in segments), *logged):
        key, before = (record.sha256, record.name), counted.get((record.sha256, record.name))
        if record.counters is not None and (before is None or _seen(before) <= _seen(record.counters)):
            counted[key] = record.counters
    by_source: dict[tuple[str, str], list[SegmentInfo]] = defaultdict(list)
    for info in segments:
        by_source[info.source.sha256, info.source.name].append(info)
    rows = []
    for (sha256, name), infos in by_source.items():
        lost, counters = statistics.get((sha256, name)), counted.get((sha256, name))
        lost_packets = sum(lost.values()) if lost else None
        if counters is not None:
            lost_packets = counters.dropped + counters.lost
        filled = [info for info in infos if info.packets]
        rows.append(
            CaptureRow(
                name=name,
                sha256=sha256,
                segments=len(infos),
                packets=sum(info.packets for info in infos),
                first_ns=min((info.first_ns for info in filled), default=0),
                last_ns=max((info.last_ns for info in filled), default=0),
                complete=any(info.source.complete for info in infos),
                lost_packets=lost_packets,
                counters=counters,
            )
        )
    return sorted(rows, key=lambda row: (row.first_ns, row.name))


def _seen(counters: Counters) -> int:
    return counters.received + counters.lost + counters.stored


def _lost(blocks: Iterable[RawBlock]) -> dict[tuple[int, int], int]:
    """Return the lost packets by (section, interface), as the last statistics of each say."""
    found: dict[tuple[int, int], int] = {}
    for block in blocks:
        if block.block_type != _STATISTICS or len(block.body) < 12:
            continue
        at, lost = 12, None
        while at + 4 <= len(block.body):
            code, length = struct.unpack_from("<HH", block.body, at)
            if code in _LOST_OPTIONS and length == 8 and at + 12 <= len(block.body):
                lost = (lost or 0) + int.from_bytes(block.body[at + 4 : at + 12], "little")
            at += 4 + length + -length % 4
        if lost is not None:
            found[block.section, int.from_bytes(block.body[:4], "little")] = lost
    return found
