"""What Redis looks like in a list."""

from __future__ import annotations

from kubeshark.pipeline.dissectors.databases.redis import REDIS, dissect
from kubeshark.pipeline.renderers import redis

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def entry(client: bytes, server: bytes) -> FakeEntry:
    return FakeEntry(REDIS, tuple(dissect(REDIS, [tcp(client, server, port=6379)])[0]))


def test_row() -> None:
    shown = entry(b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n", b"-ERR no\r\n")
    row = redis.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("INCR", "a", 1)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


def test_push() -> None:
    shown = entry(b"", b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n")
    row = redis.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"], row["statusQuery"]) == ("message", "a", 0, "")
    assert shown.is_selected_by(row["methodQuery"])
