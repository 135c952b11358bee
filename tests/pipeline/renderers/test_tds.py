"""What a TDS exchange looks like."""

from __future__ import annotations

from struct import pack

from kubeshark.extension_api import Message
from kubeshark.pipeline.dissectors.databases.tds import TDS, dissect
from kubeshark.pipeline.renderers import tds

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def packet(kind: int, payload: bytes) -> bytes:
    return pack(">BBHHBB", kind, 1, 8 + len(payload), 0, 1, 0) + payload


SELECT = packet(1, "select 1".encode("utf-16-le"))
NOTICE = pack("<iBBH", 208, 1, 16, 2) + "no".encode("utf-16-le") + bytes(2) + bytes(4)
FAILED = packet(4, b"\xaa" + pack("<H", len(NOTICE)) + NOTICE + b"\xfd\2\0" + bytes(10))


def test_row_and_sections() -> None:
    found = dissect(TDS, [tcp(SELECT, FAILED, port=1433)])[0]
    shown = FakeEntry(TDS, tuple(message for message in found if isinstance(message, Message)))
    row = tds.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("SQL_BATCH", "select 1", 1)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))
    sections = tds.render(shown)
    assert sections
    assert [section.title for section in sections.request] == ["Request", "Statement"]
    assert {row.name: row.value for row in sections.response[0].rows}["Error"] == "no"
