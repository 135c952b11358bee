"""What a query gives of an entry: the entry itself, some of its variables, or its document.

Entries hold packets and stay in the process that dissected them; what leaves it is what one of these makes of them.
What has a method `many` is asked for many entries at once, and may read columns instead of entries; what names those in
`reads` gets no more than them, so that the packets need not be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.kfl import ENTRY, Variable

if TYPE_CHECKING:
    from kubeshark.pipeline.query._runs import Run

__all__ = ["Document", "Fields", "columns", "columns_read_by", "itself", "made_at_once", "made_of", "small_columns"]

T = TypeVar("T")

BATCH = 256
"""Entries whose columns are read at once: what is not looked at is not made."""


def itself(entry: Entry) -> Entry:
    return entry


def columns_read_by(make: Callable[[Entry], Any], known: Mapping[str, Variable]) -> Sequence[str] | None:
    """Return the KFL variables that `make.many` reads, if it reads no more and they are small; None: keep packets."""
    reads: Sequence[str] | None = getattr(make, "reads", None)
    return None if reads is None else small_columns(reads, known)


def small_columns(names: Sequence[str], known: Mapping[str, Variable]) -> Sequence[str] | None:
    """Return them if keeping them takes less than keeping packets does: bodies and documents do not."""
    is_large = any(name == ENTRY or (name in known and known[name].is_heavy) for name in names)
    return None if is_large else names


def made_of(found: Run, make: Callable[[Entry], T]) -> Iterator[T]:
    """Yield what is made of each entry, at most a batch ahead of who asks."""
    if not hasattr(make, "many"):
        yield from map(make, found)
        return
    for at in range(0, len(found), BATCH):
        yield from made_at_once(found.part(at, at + BATCH), make)


def made_at_once(found: Run, make: Callable[[Entry], T]) -> Iterable[T]:
    """Return what is made of each entry, columns read once for all of them."""
    many: Callable[[Run], Iterable[T]] | None = getattr(make, "many", None)
    return map(make, found) if many is None else many(found)


def columns(found: Run, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of these KFL variables, an entry after the other; keep nothing that was dissected for them."""
    yield from zip(*(found.column(name) for name in names), strict=True)
    found.pass_by()


class Fields(Struct, frozen=True):
    """The id, the time in nanoseconds since 1970 as "timestamp", and some KFL variables."""

    names: tuple[str, ...]

    def __call__(self, entry: Entry) -> dict[str, Any]:
        return {"id": entry.id, "timestamp": entry.start_ns, **{name: entry.get(name) for name in self.names}}

    @property
    def reads(self) -> tuple[str, ...]:
        return ("id", "timestamp", *self.names)

    def many(self, found: Run) -> Iterator[dict[str, Any]]:
        return (dict(zip(self.reads, values, strict=True)) for values in columns(found, self.reads))


class Document:
    """The whole JSON document, `Entry.to_dict`; its "id" and "startTime" say which and when."""

    def __call__(self, entry: Entry) -> dict[str, Any]:
        return entry.to_dict()
