"""Names of a cluster's objects as they change: each begins and ends when its change was heard of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from kubeshark.core_capture.store import NameRecord
from kubeshark.pipeline.names._cluster_names import name_of, same_name

__all__ = ["NamesToWrite", "WatchedNames"]

MAX_ENDED = 100_000
"""That wait to be written: of more, the first to end go."""


class NamesToWrite(Struct, frozen=True):
    """Who has which address, and whose ended since the last write."""

    ended: tuple[NameRecord, ...]
    present: tuple[NameRecord, ...]

    def merged(self, known: Iterable[NameRecord], now_ns: int) -> list[NameRecord]:
        """Return the names of a store with these.

        What was there and is not here went while nobody watched: it ended now. Hosts come from elsewhere and stay.
        """
        ended: dict[bytes, list[NameRecord]] = {}
        for record in self.ended:
            ended.setdefault(same_name(record), []).append(record)
        present = {same_name(record): record for record in self.present}
        names = []
        for record in known:
            what = same_name(record)
            if record.until_ns is not None or record.kind == "host":
                names.append(record)
            elif ended.get(what):
                names.append(msgspec.structs.replace(record, until_ns=ended[what].pop(0).until_ns))
            elif present.pop(what, None) is not None:
                names.append(record)
            else:
                names.append(msgspec.structs.replace(record, until_ns=now_ns))
        return [*names, *(record for records in ended.values() for record in records), *present.values()]


class WatchedNames:
    """Who has which address now, and whose ended since they were written last. Not for several threads at once."""

    def __init__(self) -> None:
        self._now: dict[tuple[str, str], NameRecord] = {}
        self._ended: list[NameRecord] = []
        self.changes = 0  # so far

    def take(self, kind: str, uid: str, thing: Mapping[str, Any] | None, seen_ns: int, *, is_late: bool) -> None:
        """Take an object as it is at `seen_ns`, None for one that is gone; `is_late`: it may be so for longer.

        Raise KeyError, TypeError, AttributeError or ValueError for what is no such object.
        """
        record = None if thing is None else name_of(kind, thing, seen_ns)
        before = self._now.get((kind, uid))
        if before is not None:
            if record is not None and same_name(record) == same_name(before):
                return
            self._ended.append(msgspec.structs.replace(self._now.pop((kind, uid)), until_ns=seen_ns))
            del self._ended[:-MAX_ENDED]
        elif record is None:
            return
        if record is not None:
            since_ns = record.since_ns if is_late and before is None else seen_ns
            self._now[kind, uid] = msgspec.structs.replace(record, since_ns=since_ns)
        self.changes += 1

    def to_write(self) -> NamesToWrite:
        """Return what is to be written; what ended is not kept here any longer."""
        ended, self._ended = self._ended, []
        return NamesToWrite(tuple(ended), tuple(self._now.values()))

    def put_back(self, unwritten: NamesToWrite) -> None:
        """Take back what could not be written."""
        self._ended[:0] = unwritten.ended
        del self._ended[:-MAX_ENDED]
