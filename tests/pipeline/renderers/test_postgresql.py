"""What a PostgreSQL exchange looks like."""

from __future__ import annotations

from struct import pack

import pytest

from kubeshark.extension_api import Message
from kubeshark.pipeline.dissectors.databases.postgresql import POSTGRESQL, dissect
from kubeshark.pipeline.renderers import postgresql

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def m(kind: bytes, body: bytes) -> bytes:
    return kind + pack(">I", 4 + len(body)) + body


ASK = m(b"Q", b"select 1\0")
ROWS = m(b"T", b"\0\1n\0" + bytes(18)) + m(b"D", b"\0\1\0\0\0\x011") + m(b"C", b"SELECT 1\0") + m(b"Z", b"I")
FAILED = m(b"E", b"SERROR\0C42P01\0Mno table\0\0") + m(b"Z", b"I")
NOTE = m(b"A", bytes(4) + b"news\0hello\0")


def entry(client: bytes, server: bytes) -> FakeEntry:
    found = dissect(POSTGRESQL, [tcp(client, server, port=5432)])[0]
    return FakeEntry(POSTGRESQL, tuple(message for message in found if isinstance(message, Message)))


def test_row() -> None:
    for server, status in ((ROWS, 0), (FAILED, 1)):
        shown = entry(ASK, server)
        row = postgresql.summarize(shown)
        assert row
        assert (row["method"], row["summary"], row["status"]) == ("SELECT", "select 1", status)
        assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


@pytest.mark.parametrize(
    ("client", "server", "shown"),
    [
        (b"", NOTE, ("NOTIFY", "news")),
        (b"", m(b"S", b"TimeZone\0UTC\0"), ("PARAMETER STATUS", "TimeZone")),
        (b"", m(b"N", b"SWARNING\0C01000\0Mlook\0\0"), ("NOTICE", "look")),
        (b"", m(b"E", b"SFATAL\0C57P01\0Mbye\0\0"), ("ERROR", "bye")),
        (pack(">IIII", 16, 80877102, 77, 1), b"", ("CANCEL", "process 77")),
        (m(b"Q", b";\0"), m(b"I", b"") + m(b"Z", b"I"), ("QUERY", ";")),
    ],
    ids=["notify", "parameter", "notice", "end", "cancel", "empty"],
)
def test_row_says_what_an_entry_without_a_statement_is(client: bytes, server: bytes, shown: tuple[str, str]) -> None:
    found = entry(client, server)
    row = postgresql.summarize(found)
    assert row
    assert (row["method"], row["summary"]) == shown
    assert found.is_selected_by(row["methodQuery"]) and found.is_selected_by(row["summaryQuery"])


@pytest.mark.parametrize(
    ("client", "command"),
    [
        (m(b"S", b""), "SYNC"),
        (m(b"X", b""), "TERMINATE"),
        (m(b"H", b""), "FLUSH"),
        (m(b"H", b"") + m(b"Q", b"\0"), "QUERY"),
        (m(b"c", b""), "COPY DONE"),
    ],
)
def test_row_names_a_message_that_is_no_statement(client: bytes, command: str) -> None:
    row = postgresql.summarize(entry(client, b""))
    assert row
    assert row["method"] == command


def test_row_without_answer() -> None:
    row = postgresql.summarize(entry(ASK, b""))
    assert row
    assert (row["status"], row["statusQuery"]) == (0, "")


def test_sections() -> None:
    shown = postgresql.render(entry(ASK, ROWS))
    assert shown
    assert [section.title for section in shown.request] == ["Request", "Statement"]
    assert [section.title for section in shown.response] == ["Response", "Details", "Rows"]
    assert shown.response[2].body == "n\n-\n1"
    shown = postgresql.render(entry(b"", NOTE))
    assert shown
    assert {row.name: row.value for row in shown.event[0].rows}["payload"] == "hello"
