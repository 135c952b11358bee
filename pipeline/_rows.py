"""What a query gives of an entry: the entry itself, some of its variables, or its document.

Entries hold packets and stay in the process that dissected them; what leaves it is what one of these makes of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kubeshark.pipeline._entry import Entry

__all__ = ["Document", "Fields", "itself"]


def itself(entry: Entry) -> Entry:
    return entry


@dataclass(frozen=True, slots=True)
class Fields:
    """The id, the time in nanoseconds since 1970 as "timestamp", and some KFL variables."""

    names: tuple[str, ...]

    def __call__(self, entry: Entry) -> dict[str, Any]:
        row: dict[str, Any] = {"id": entry.id, "timestamp": entry.start_ns}
        for name in self.names:
            row[name] = entry.get(name)
        return row


class Document:
    """The whole JSON document, `Entry.to_dict`; its "id" and "startTime" say which and when."""

    def __call__(self, entry: Entry) -> dict[str, Any]:
        return entry.to_dict()
