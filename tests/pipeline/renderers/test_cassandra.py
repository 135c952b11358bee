"""What a CQL exchange looks like."""

from __future__ import annotations

from struct import pack

from kubeshark.pipeline.dissectors.databases.cassandra import CASSANDRA, dissect
from kubeshark.pipeline.renderers import cassandra

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def frame(version: int, opcode: int, body: bytes) -> bytes:
    return pack(">BBhBI", version, 0, 1, opcode, len(body)) + body


SELECT = frame(4, 7, pack(">I", 8) + b"SELECT 1" + pack(">HB", 1, 0))
FAILED = frame(0x84, 0, pack(">iH", 0x2000, 2) + b"no")
OPTIONS = frame(0x84, 6, pack(">HH", 1, 11) + b"CQL_VERSION" + pack(">HH", 1, 5) + b"3.4.6")


def entry(client: bytes, server: bytes) -> FakeEntry:
    return FakeEntry(CASSANDRA, tuple(dissect(CASSANDRA, [tcp(client, server, port=9042)])[0]))  # type: ignore[arg-type]


def test_row() -> None:
    shown = entry(SELECT, FAILED)
    row = cassandra.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("QUERY", "SELECT 1", 0x2000)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


def test_sections() -> None:
    shown = cassandra.render(entry(SELECT, FAILED))
    assert shown
    assert [section.title for section in shown.request] == ["Request", "Statement"]
    assert {row.name: row.value for row in shown.response[0].rows}["Error"] == "no"
    shown = cassandra.render(entry(frame(4, 5, b""), OPTIONS))
    assert shown
    assert "CQL_VERSION" in shown.response[1].body
