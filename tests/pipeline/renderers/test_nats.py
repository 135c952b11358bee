"""What NATS looks like in a list."""

from __future__ import annotations

from kubeshark.extension_api import Message
from kubeshark.pipeline.dissectors.nats import NATS, dissect
from kubeshark.pipeline.renderers import nats

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def entry(client: bytes, server: bytes) -> FakeEntry:
    found = dissect(NATS, [tcp(client, server, port=4222)])[0]
    return FakeEntry(NATS, tuple(message for message in found if isinstance(message, Message)))


def test_row() -> None:
    shown = entry(b"PUB a.b 1\r\nx\r\n", b"")
    row = nats.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("PUB", "a.b", 0)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery"))


def test_error() -> None:
    shown = entry(b"", b"-ERR 'Slow Consumer'\r\n")
    row = nats.summarize(shown)
    assert row
    assert (row["summary"], row["status"]) == ("Slow Consumer", 1)
    assert shown.is_selected_by(row["statusQuery"])
