"""What a WebSocket message looks like."""

from __future__ import annotations

from kubeshark.extension_api import Section, TableRow
from kubeshark.pipeline.dissectors.web import ws
from kubeshark.pipeline.renderers import ws as renderer

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def entry(client: bytes = b"", server: bytes = b"") -> FakeEntry:
    return FakeEntry(ws.WS, tuple(ws.dissect(ws.WS, [tcp(client, server)])[0]))


def test_row_of_a_text() -> None:
    assert renderer.summarize(entry(server=b"\x81\x7e\0\x80" + b"x" * 128)) == {
        "method": "text",
        "methodQuery": 'ws_opcode == "text"',
        "summary": "x" * 64,
        "summaryQuery": "",
        "status": 0,
        "statusQuery": "",
    }


def test_row_of_a_close() -> None:
    row = renderer.summarize(entry(b"\x88\x85\0\0\0\0\x03\xe8bye"))
    assert row
    assert (row["method"], row["summary"], row["status"], row["statusQuery"]) == (
        "close",
        "bye",
        1000,
        "status_code == 1000",
    )


def test_sections() -> None:
    shown = renderer.render(entry(b"\x81\x82\0\0\0\0hi"))
    assert shown
    assert shown.response == ()
    assert shown.request[0].rows[0] == TableRow("Opcode", "text", "ws_opcode")
    assert shown.request[1] == Section("body", "Payload", body="hi", selector="request_body")


def test_bytes_have_no_selector() -> None:
    shown = renderer.render(entry(server=b"\x82\x02hi"))
    assert shown
    assert shown.response[1] == Section("body", "Payload", body="aGk=", encoding="base64")
