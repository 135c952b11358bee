"""A query that goes on: what it found is sent, then what begins later, as it becomes complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from kubeshark.pipeline import Follow, Pipeline, Place, Run, cursor_text

__all__ = ["Live"]


@dataclass(slots=True)
class Live:
    """The live view behind a query: what begins after the query's look at the store, and nothing twice."""

    follow: Follow
    _latest: Place | None = None
    _overlap: set[str] = field(default_factory=set)  # ids of the query that began after the view's first look

    @classmethod
    def begin(cls, view: Pipeline, kfl: str, fields: Sequence[str]) -> Live:
        """Look for the first time, before the query does; `fields` as `StoreQuery.runs` takes them."""
        follow = view.follow(kfl, begun_later=True)
        follow.reads(fields)
        for _ in follow.look():
            pass
        return cls(follow)

    def note(self, run: Run) -> None:
        """Take rows that the query gave."""
        self._advance(run)
        late = np.flatnonzero(run.start_ns > self.follow.last_ns)
        if len(late):
            self._overlap.update(run.part(int(late[0]), len(run)).column("id"))

    def look(self) -> Iterator[Run]:
        """Yield what is new."""
        for run in self.follow.look():
            if not self._overlap or not len(run):
                yield run
                continue
            ids = run.column("id")
            fresh = [at for at, each in enumerate(ids) if each not in self._overlap]
            self._overlap.difference_update(ids)
            yield run if len(fresh) == len(run) else run.only(fresh)

    def cursor_behind(self, run: Run) -> str:
        """Return where a query goes on behind everything that was sent."""
        self._advance(run)
        assert self._latest is not None
        return cursor_text(self._latest)

    def _advance(self, run: Run) -> None:
        latest = run.place(len(run) - 1)
        self._latest = latest if self._latest is None else max(self._latest, latest)
