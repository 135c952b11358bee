"""What a MySQL exchange looks like."""

from __future__ import annotations

from struct import pack

from kubeshark.extension_api import Message
from kubeshark.pipeline.dissectors.databases.mysql import MYSQL, dissect
from kubeshark.pipeline.renderers import mysql

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def p(sequence: int, payload: bytes) -> bytes:
    return pack("<I", len(payload))[:3] + bytes([sequence]) + payload


FAILED = p(1, b"\xff" + pack("<H", 1146) + b"#42S02no such table")


def entry(client: bytes, server: bytes) -> FakeEntry:
    found = dissect(MYSQL, [tcp(client, server, port=3306)])[0]
    return FakeEntry(MYSQL, tuple(message for message in found if isinstance(message, Message)))


def test_row() -> None:
    shown = entry(p(0, b"\x03select\n 1"), FAILED)
    row = mysql.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("COM_QUERY", "select 1", 1)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


def test_row_of_a_command_without_statement_shows_the_database() -> None:
    row = mysql.summarize(entry(p(0, b"\x02shop"), p(1, bytes(7))))
    assert row
    assert (row["summary"], row["summaryQuery"]) == ("shop", 'mysql_database == "shop"')


def test_sections() -> None:
    shown = mysql.render(entry(p(0, b"\x03select 1"), FAILED))
    assert shown
    assert [section.title for section in shown.request] == ["Request", "Statement", "Details"]
    assert {row.name: row.value for row in shown.response[0].rows}["Error code"] == 1146
    assert {row.name: row.value for row in shown.response[1].rows} == {"sqlState": "42S02"}
