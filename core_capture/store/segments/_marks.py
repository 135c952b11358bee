"""Which schedules had their window open while the packets of a segment came, and what that means for it.

Index and log say it (docs/adr/0045-marked-segments.md), and who captures can read neither. So it stands once more in
scheduled.json, by number of the segment, signed by the node: public, and so no more than names, times and two choices.

1. The mark of a segment lasts before the first packet of it does: a segment or a log without one has none.
2. It is believed of keys that the reader trusts. Whoever could make it say something else would have their own
   deletions signed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from threading import Lock
from typing import Annotated

import msgspec
from msgspec import Meta

from kubeshark.core_capture.store.keys._signing import NodeKey, decode_signed, encode_signed
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import SCHEDULED, number_of, numbers_in
from kubeshark.core_capture.store.segments._scheduled import Scheduled
from kubeshark.errors import Damaged

__all__ = ["Marks", "last_marked", "load_marks"]

MAX_FILE_BYTES = 16 << 20
MAX_MARKED = 1_000_000
"""Segments: more than a store lists."""

_UNKNOWN = Scheduled(("unknown",), archived=False)
_Number = Annotated[int, Meta(ge=1, lt=10**15)]


class _Stretch(msgspec.Struct, array_like=True):
    """Segments whose numbers follow each other."""

    first: _Number
    last: _Number
    scheduled: Scheduled


class _Body(msgspec.Struct):
    stretches: list[_Stretch]
    version: Annotated[int, Meta(ge=1, le=1)] = 1


def load_marks(files: Backend, trusted: Collection[str]) -> dict[int, Scheduled]:
    """Return the marks by number of the segment, none where there is no file.

    Raises Damaged for what is no such file, or is signed by none of the `trusted` public keys.
    """
    try:
        content = files.read(SCHEDULED, MAX_FILE_BYTES + 1).data
    except FileNotFoundError:
        return {}
    if len(content) > MAX_FILE_BYTES:
        raise Damaged(f"is larger than {MAX_FILE_BYTES:,} bytes", file=SCHEDULED)
    body, signed_by = decode_signed(content, _Body, SCHEDULED)
    if signed_by not in trusted:
        raise Damaged("is not signed by the node whose segments these are", file=SCHEDULED)
    if sum(max(each.last - each.first + 1, 0) for each in body.stretches) > MAX_MARKED:
        raise Damaged(f"marks more than {MAX_MARKED:,} segments", file=SCHEDULED)
    return {number: each.scheduled for each in body.stretches for number in range(each.first, each.last + 1)}


def last_marked(files: Backend, key: NodeKey) -> int:
    """Return the highest number that has a mark of this node, 0 for none: no other segment may have that number."""
    try:
        return max(load_marks(files, {key.public}), default=0)
    except Damaged:
        return 0


class Marks:
    """The marks of one node, for its one live writer; its threads may call."""

    def __init__(self, files: Backend, key: NodeKey) -> None:
        self._files, self._key = files, key
        self._lock = Lock()
        self._open = set[int]()  # marked by this writer, and not settled: their files may be on their way
        try:
            self._known = load_marks(files, {key.public})
        except Damaged:  # nobody knows of what is there: it goes to no archive, and no earlier than the store says
            self._known = dict.fromkeys(numbers_in(files.names()), _UNKNOWN)

    @property
    def any_expires(self) -> bool:
        """Whether a segment is marked that is to go without any limit of the store's."""
        with self._lock:
            return any(each.keep_s and not each.as_store for each in self._known.values())

    def of(self, name: str) -> Scheduled | None:
        """Return the mark of a segment, None if it has none."""
        with self._lock:
            return self._known.get(number_of(name) or 0)

    def note(self, number: int, scheduled: Scheduled) -> None:
        """Have a segment's mark last; raise OSError or StoreError. Those of segments that are gone go, too."""
        with self._lock:
            if self._known.get(number) == scheduled and number in self._open:
                return
            present = numbers_in(self._files.names())
            kept = {each: mark for each, mark in self._known.items() if each in present or each in self._open}
            kept[number] = scheduled
            self._files.replace(SCHEDULED, encode_signed(_Body(_stretches(kept)), self._key))
            self._known = kept
            self._open.add(number)

    def settle(self, number: int) -> None:
        """The segment lasts: its files speak for it."""
        with self._lock:
            self._open.discard(number)


def _stretches(marks: Mapping[int, Scheduled]) -> list[_Stretch]:
    found = list[_Stretch]()
    for number in sorted(marks):
        before = found[-1] if found else None
        if before is not None and before.last == number - 1 and before.scheduled == marks[number]:
            before.last = number
        else:
            found.append(_Stretch(number, number, marks[number]))
    return found
