"""What a MongoDB exchange looks like."""

from __future__ import annotations

from struct import pack

from kubeshark.pipeline.dissectors.databases.mongodb import MONGODB, dissect
from kubeshark.pipeline.renderers import mongodb

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def text(name: bytes, value: bytes) -> bytes:
    return b"\x02" + name + b"\0" + pack("<i", len(value) + 1) + value + b"\0"


def msg(request: int, response: int, *elements: bytes) -> bytes:
    body = b"".join(elements)
    document = bytes(5) + pack("<i", len(body) + 5) + body + b"\0"
    return pack("<4i", 16 + len(document), request, response, 2013) + document


FIND = msg(7, 0, text(b"find", b"items"), text(b"$db", b"shop"))
FAILED = msg(90, 7, b"\x10ok\0" + pack("<i", 0), b"\x10code\0" + pack("<i", 13), text(b"errmsg", b"no"))


def entry(client: bytes, server: bytes) -> FakeEntry:
    return FakeEntry(MONGODB, tuple(dissect(MONGODB, [tcp(client, server, port=27017)])[0]))


def test_row() -> None:
    shown = entry(FIND, FAILED)
    row = mongodb.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("find", "shop.items", 13)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


def test_row_of_half_an_exchange() -> None:
    row = mongodb.summarize(entry(FIND, b""))
    assert row and row["statusQuery"] == ""
    row = mongodb.summarize(entry(b"", FAILED))
    assert row and row["method"] == "OP_MSG"


def test_sections() -> None:
    shown = mongodb.render(entry(FIND, FAILED))
    assert shown
    assert [section.title for section in shown.request] == ["Request", "Document"]
    assert '"find": "items"' in shown.request[1].body
    assert {row.name: row.value for row in shown.response[0].rows}["Error"] == "no"
