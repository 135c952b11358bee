"""The one gate for the bytes of Kafka's bodies: every length is checked before it is used."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

import msgspec

__all__ = ["INT8", "INT16", "INT32", "INT64", "MAX_ITEMS", "Cursor", "Early", "Malformed"]

MAX_ITEMS = 50_000
"""Array elements read of one body: the largest clusters' metadata has some 10,000 partitions."""

INT8, INT16, INT32, INT64 = Struct(">b"), Struct(">h"), Struct(">i"), Struct(">q")


class Malformed(ValueError):
    """Bytes that contradict the schema; what was read before them is kept."""


class Early(Malformed):
    """The captured bytes end inside a body that agrees with its schema so far."""


class Cursor(msgspec.Struct):
    """A bounded position in a body, and what was noticed on the way; `end` may lie beyond the data of a cut one."""

    data: bytes
    at: int
    end: int
    records: Callable[[bytes], Any] | None = None  # None: record sets are skipped
    items: int = 0
    error: int = 0  # the first error code that is not 0
    topics: dict[str, None] = msgspec.field(default_factory=dict)  # an ordered set
    topic_ids: dict[str, None] = msgspec.field(default_factory=dict)

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes; raise Malformed if there are fewer."""
        start, self.at = self.at, self.at + count
        if count < 0 or self.at > self.end:
            self.at = start
            raise Malformed(f"{count} bytes expected at {start}, {self.end - start} left")
        if self.at > len(self.data):
            raise Early(f"captured as far as {len(self.data)}")
        return self.data[start : self.at]

    def number(self, form: Struct) -> Any:
        start = self.at
        if start + form.size > self.end:
            raise Malformed(f"{form.size} bytes expected at {start}, {self.end - start} left")
        if start + form.size > len(self.data):
            raise Early(f"captured as far as {len(self.data)}")
        self.at = start + form.size
        return form.unpack_from(self.data, start)[0]

    def uvarint(self) -> int:
        """Read an unsigned varint of at most 32 bits."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise Malformed(f"varint without an end at {self.at}")

    def count(self, *, compact: bool, form: Struct = INT32) -> int:
        """Read a length; -1 is null."""
        return self.uvarint() - 1 if compact else int(self.number(form))

    def item(self) -> None:
        self.items += 1
        if self.items > MAX_ITEMS:
            raise Malformed(f"more than {MAX_ITEMS} elements")
