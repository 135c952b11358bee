"""What memcached looks like in a list."""

from __future__ import annotations

from kubeshark.pipeline.dissectors.databases.memcached import MEMCACHED, dissect
from kubeshark.pipeline.renderers import memcached

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def test_row() -> None:
    shown = FakeEntry(MEMCACHED, tuple(dissect(MEMCACHED, [tcp(b"get a\r\n", b"END\r\n", port=11211)])[0]))
    row = memcached.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("get", "a", 1)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))
