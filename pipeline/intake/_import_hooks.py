"""What plugins have to do with an import: they filter its packets, and are told of its segments."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from kubeshark.core_capture import RecordBatch
from kubeshark.core_capture.store import SegmentInfo
from kubeshark.pipeline.intake._packet_filter import PacketFilter
from kubeshark.pipeline.intake._sealed import SealedSegments
from kubeshark.pipeline.plugins._manager import Plugins

__all__ = ["ImportHooks"]


class ImportHooks:
    """A context manager around an import; `problems` are complete behind it."""

    def __init__(self, plugins: Plugins, location: str, *, budget_s: float | None = None) -> None:
        self._plugins = plugins
        self._filter = PacketFilter(plugins.packet_filters, budget_s=budget_s)
        self._told = SealedSegments(plugins.segment_sealed, location)

    def apply(self, batch: RecordBatch) -> RecordBatch:
        """Return the packets that the plugins keep, marked where they want that."""
        return self._filter.apply(batch) if self._filter.stats else batch

    def tell(self, info: SegmentInfo) -> None:
        """Tell them of a segment; returns at once."""
        self._told.tell(info)

    @property
    def filters_packets(self) -> bool:
        """Whether a plugin looks at each batch."""
        return bool(self._filter.stats)

    @property
    def dropped(self) -> int:
        return self._filter.dropped

    def problems(self) -> list[str]:
        """Say what they did wrong."""
        return [*self._filter.problems(), *self._told.problems, *map(str, self._plugins.take_problems())]

    def __enter__(self) -> Self:
        self._told.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._told.__exit__(kind, error, tb)
