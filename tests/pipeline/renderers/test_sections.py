"""Tables, bodies and hex: empty ones are left out, and only what KFL can write is selectable."""

from __future__ import annotations

import base64

from kubeshark.extension_api import CLIENT, SERVER, MessageKind, Moment, TimelinePoint
from kubeshark.pipeline.dissectors.web import ws
from kubeshark.pipeline.renderers._sections import SHOWN_BYTES, body, cells, hex_dump, mapping, row, table, timeline

from ..dissectors._streams import tcp
from ._entries import FakeEntry


def test_cells_are_all_there() -> None:
    assert cells() == {
        "method": "",
        "methodQuery": "",
        "summary": "",
        "summaryQuery": "",
        "status": 0,
        "statusQuery": "",
    }
    assert cells("GET", status=200)["status"] == 200


def test_a_list_is_shown_but_not_selectable() -> None:
    shown = row("names", ["a", "b"], "dns_questions")
    assert (shown.value, shown.selector) == ("a, b", "")
    assert row("n", 1, "status_code").selector == "status_code"


def test_nothing_makes_no_section() -> None:
    assert (table("t", ()), mapping("m", {}), body("b", "", "", ""), hex_dump("h", b"")) == ((), (), (), ())


def test_keys_of_a_map_select_their_values() -> None:
    (section,) = mapping("Headers", {"Host": "h", 'X"': ["a", "b"]}, "request.headers", fold=True)
    assert [(r.name, r.value) for r in section.rows] == [("Host", "h"), ('X"', "a,b")]
    assert section.rows[0].selector == 'request.headers["host"]'
    assert [r.selector for r in mapping("Headers", {"Host": "h"})[0].rows] == [""]


def test_a_body_of_bytes_is_not_selectable() -> None:
    (text,), (data,) = (
        body("Body", "hi", "", "text/plain", "request_body"),
        body("Body", "aGk=", "base64", "", "request_body"),
    )
    assert (text.selector, text.mime_type, data.selector, data.encoding) == ("request_body", "text/plain", "", "base64")


def test_hex_is_bounded() -> None:
    (section,) = hex_dump("Bytes", bytes(SHOWN_BYTES + 1))
    assert len(base64.b64decode(section.body)) == SHOWN_BYTES


def test_what_happened_over_time() -> None:
    entry = FakeEntry(ws.WS, tuple(ws.dissect(ws.WS, [tcp(b"\x81\x82\0\0\0\0hi")])[0]))
    assert timeline("t", entry) == ()
    asked = Moment(5_000_000, MessageKind.REQUEST, CLIENT, "request")
    entry.seen = [asked]
    assert timeline("t", entry) == ()  # one moment is no time
    entry.seen = [asked, Moment(5_003_999, MessageKind.RESPONSE, SERVER, "response")]
    (section,) = timeline("t", entry)
    assert section.points == (TimelinePoint(0, "request", "client"), TimelinePoint(3, "response", "server"))
