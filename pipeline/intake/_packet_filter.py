"""Plugins' packet filters between a capture reader and the store: keep, drop or mark, and never wait.

Invariants:

1. Every packet read is stored, or counted as dropped; nothing else becomes of it.
2. A plugin that fails or is out of time costs nothing but its verdicts: the packets are kept and counted as not
   filtered. One plugin's drop is final; a mark is a comment that names the plugin.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any

import msgspec
from msgspec.structs import replace

from kubeshark.core_capture import PacketExtra, RecordBatch
from kubeshark.extension_api import Packet, PacketVerdict

__all__ = ["PacketFilter", "PacketFilterStats"]

_HEADER = Struct("<IIII")  # seconds, nanoseconds, captured, original
_NS = 1_000_000_000
_COMMENT = 1  # pcapng opt_comment
BATCH = 256  # packets: what a frame of the batch ABI holds


class PacketFilterStats(msgspec.Struct):
    """What one plugin did."""

    dropped: int = 0
    marked: int = 0
    unfiltered: int = 0  # packets it had no time for, or failed on
    reason: str = ""  # of the first failure that was raised


class PacketFilter:
    """Asks every plugin in turn; `stats` by plugin.

    With `budget_s` a batch may take so long: what was not asked by then passes, and is counted as not filtered.
    """

    def __init__(
        self, filters: Mapping[str, Callable[..., Sequence[PacketVerdict | None]]], *, budget_s: float | None = None
    ) -> None:
        self._filters = dict(filters)
        self._budget_s = budget_s
        self.stats = {plugin: PacketFilterStats() for plugin in filters}

    @property
    def dropped(self) -> int:
        return sum(stats.dropped for stats in self.stats.values())

    def apply(self, batch: RecordBatch) -> RecordBatch:
        """Return the batch without what was dropped, with comments on what was marked."""
        packets, bounds = _packets(batch)
        left = list(range(len(packets)))
        marks: dict[int, list[str]] = {}
        ends_at = None if self._budget_s is None else time.monotonic() + self._budget_s
        for plugin, call in self._filters.items():
            stats = self.stats[plugin]
            kept = []
            for start in range(0, len(left), BATCH):
                part = left[start : start + BATCH]
                if ends_at is not None and time.monotonic() >= ends_at:
                    verdicts: Sequence[PacketVerdict | None] = [None] * len(part)
                    stats.reason = stats.reason or f"no time left of {self._budget_s:g} s for a batch"
                else:
                    verdicts = self._ask(call, stats, [packets[at] for at in part])
                for at, verdict in zip(part, verdicts, strict=True):
                    if verdict == PacketVerdict.DROP:
                        stats.dropped += 1
                        continue
                    kept.append(at)
                    if verdict is None:
                        stats.unfiltered += 1
                    elif verdict == PacketVerdict.MARK:
                        stats.marked += 1
                        marks.setdefault(at, []).append(plugin)
            left = kept
        return _chosen(batch, left, bounds, marks)

    def problems(self) -> list[str]:
        """Say which plugins did not see every packet."""
        return [
            f"plugin {plugin}: {stats.unfiltered:,} packets are stored without its filter"
            + (f": {stats.reason}" if stats.reason else "")
            for plugin, stats in self.stats.items()
            if stats.unfiltered
        ]

    def _ask(
        self, call: Callable[..., Sequence[PacketVerdict | None]], stats: PacketFilterStats, packets: Sequence[Packet]
    ) -> Sequence[PacketVerdict | None]:
        try:
            verdicts = call(packets=packets)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a Python plugin raises, the packets are stored)
            stats.reason = stats.reason or f"{type(error).__name__}: {error}"
            return [None] * len(packets)
        if len(verdicts) != len(packets):
            stats.reason = stats.reason or f"answered for {len(verdicts)} of {len(packets)} packets"
            return [None] * len(packets)
        return verdicts


def _packets(batch: RecordBatch) -> tuple[list[Packet], list[int]]:
    """Return the packets, and where each record begins; the last bound is the end."""
    data = memoryview(batch.data)
    packets, bounds, at = [], [0], 0
    for index in range(batch.count):
        seconds, nanoseconds, captured, original = _HEADER.unpack_from(data, at)
        extra = batch.extras.get(index)
        time_ns = seconds * _NS + nanoseconds if extra is None or extra.time_ns is None else extra.time_ns
        start = at + _HEADER.size
        at = start + captured
        packets.append(Packet(data[start:at], time_ns, original, batch.link_type))
        bounds.append(at)
    return packets, bounds


def _chosen(
    batch: RecordBatch, left: Sequence[int], bounds: Sequence[int], marks: Mapping[int, Sequence[str]]
) -> RecordBatch:
    """Return a batch of the packets that are left."""
    if len(left) == batch.count and not marks:
        return batch
    data: Any = memoryview(batch.data)
    extras = {}
    for place, at in enumerate(left):
        extra = batch.extras.get(at)
        if at in marks:
            extra = extra or PacketExtra()
            extra = replace(extra, options=b"".join(map(_comment, marks[at])) + extra.options)
        if extra is not None:
            extras[place] = extra
    return RecordBatch(
        batch.link_type,
        b"".join(data[bounds[at] : bounds[at + 1]] for at in left),
        [batch.ordinals[at] for at in left],
        extras,
    )


def _comment(plugin: str) -> bytes:
    """Return a pcapng comment option, padded to four bytes."""
    text = f"marked by plugin {plugin}".encode()
    return _COMMENT.to_bytes(2, "little") + len(text).to_bytes(2, "little") + text + bytes(-len(text) % 4)
