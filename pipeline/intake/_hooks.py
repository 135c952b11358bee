"""What plugins have to do with packets on their way into a store; nothing of them is loaded where there are none.

A worker captures without plugins: nothing that dissects is in its image.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from kubeshark.core_capture import RecordBatch
    from kubeshark.core_capture.store import SegmentInfo
    from kubeshark.pipeline.plugins._manager import Plugins

__all__ = ["Hooks", "hooks_of"]


class Hooks(Protocol):
    """What plugins have to do with packets on their way into a store; `problems` are complete behind it."""

    @property
    def dropped(self) -> int: ...
    @property
    def filters_packets(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...
    def apply(self, batch: RecordBatch) -> RecordBatch: ...
    def tell(self, info: SegmentInfo) -> None: ...
    def problems(self) -> list[str]: ...


class _NoHooks:
    """What an import asks of plugins where there are none."""

    dropped = 0
    filters_packets = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Nothing to end."""

    def apply(self, batch: RecordBatch) -> RecordBatch:
        return batch

    def tell(self, info: SegmentInfo) -> None:
        """Nobody listens."""

    def problems(self) -> list[str]:
        return []


def hooks_of(plugins: Plugins | None, location: str, *, budget_s: float | None = None) -> Hooks:
    """Return what plugins have to do with packets on their way into a store; `budget_s`: for the filters of a batch."""
    if plugins is None:
        return _NoHooks()
    from kubeshark.pipeline.intake._import_hooks import ImportHooks

    return ImportHooks(plugins, location, budget_s=budget_s)
