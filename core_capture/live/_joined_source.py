"""Several live sources read as one: packets of interfaces, and beside them what probes took from processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self

from msgspec.structs import replace

from kubeshark.core_capture._records import PacketExtra, RecordBatch, SourceMetadata
from kubeshark.core_capture.live._options import Counters, PacketSource

__all__ = ["JoinedSource"]

TURN_S = 0.05  # one source is waited for so long, then the others are asked


class JoinedSource:
    """A `PacketSource` of others, whose interfaces do not change. It ends when all of them have."""

    def __init__(self, sources: Sequence[PacketSource]) -> None:
        self._sources = list(sources)
        self._firsts: list[int] = []  # number of each source's first interface
        self.metadata = SourceMetadata("pcapng")
        for source in self._sources:
            self._firsts.append(len(self.metadata.interfaces))
            self.metadata.interfaces += source.metadata.interfaces
        self.name = ", ".join(source.name for source in self._sources)
        self.waits = False
        self.capabilities = frozenset().union(*(source.capabilities for source in self._sources))
        self._ordinal = 0
        self._turn = 0

    @property
    def problems(self) -> list[str]:
        return [problem for source in self._sources for problem in source.problems]

    @property
    def is_finished(self) -> bool:
        return all(source.is_finished for source in self._sources)

    def read(self, timeout_s: float) -> RecordBatch | None:
        deadline = time.monotonic() + timeout_s
        waits = False
        while not self.is_finished:
            for _ in self._sources:
                number = self._turn
                self._turn = (number + 1) % len(self._sources)
                left = deadline - time.monotonic()
                found = self._sources[number].read(min(max(left, 0.0), TURN_S / len(self._sources)) if waits else 0.0)
                if found is not None:
                    return self._numbered(number, found)
            if time.monotonic() >= deadline:
                return None
            waits = True
        return None

    def _numbered(self, number: int, batch: RecordBatch) -> RecordBatch:
        """Number packets over all sources, and interfaces as the metadata has them."""
        ordinals = range(self._ordinal, self._ordinal + batch.count)
        self._ordinal = ordinals.stop
        first = self._firsts[number]
        extras = batch.extras
        if first:
            extras = {
                at: replace(extras[at], interface=extras[at].interface + first) if at in extras else PacketExtra(first)
                for at in range(batch.count)
            }
        return replace(batch, ordinals=ordinals, extras=extras)

    def stop(self) -> None:
        for source in self._sources:
            source.stop()

    def close(self) -> None:
        for source in self._sources:
            source.close()

    def counters(self) -> list[Counters]:
        return [one for source in self._sources for one in source.counters()]

    def take_notices(self) -> list[str]:
        return [notice for source in self._sources for notice in source.take_notices()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
