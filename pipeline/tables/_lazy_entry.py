"""A row of a `Found` as an entry, which is not dissected for what columns know."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from kubeshark.pipeline.entries._entry import Entry

if TYPE_CHECKING:
    from kubeshark.pipeline.tables._table import Found

__all__ = ["LazyEntry"]


class LazyEntry(Entry):
    """A row as an entry: what columns do not tell is made when it is first asked for."""

    __slots__ = ("_at", "_found", "_made")

    def __init__(self, found: Found, at: int) -> None:  # Entry's own fields stay unset: __getattr__ fills them
        self._found = found
        self._at = at

    def __getattr__(self, name: str) -> Any:
        """Set a field of Entry; Python asks only for those that are not set."""
        if name == "entry_id":
            self.entry_id = self._found.ids.entry_id(self._at)
        elif name == "facts":
            self.facts = self._found.facts(self._at)
        elif name == "protocol" and (code := self._found.code.item(self._at)) >= 0:
            self.protocol = self._found.protocol(code)
        elif name in FIELDS:
            made = self._made = self._found.resolve(self._at)  # kept: its variables last as long as it does
            made.variables  # noqa: B018 - made now, so that both have the same ones
            for each in FIELDS:
                setattr(self, each, getattr(made, each))
        else:
            raise AttributeError(name)
        return getattr(self, name)

    @property
    def start_ns(self) -> int:
        return int(self._found.start_ns[self._at])

    @property
    def is_built(self) -> bool:
        return self._found.is_built(self._at)

    def whole(self) -> Entry:
        return self._found.resolve(self._at)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole; the entry does not keep it."""
        return self._found.document(self._at)

    def get(self, variable: str) -> Any:
        return self._found.value(self._at, variable)


FIELDS = tuple(each.name for each in fields(Entry))
"""Entry's own."""
