"""What NATS looks like in a list."""

from __future__ import annotations

from dataclasses import replace

from kubeshark.extension_api import Message
from kubeshark.pipeline.dissectors.messaging.nats import NATS, dissect
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


def test_body_and_headers() -> None:
    head = b"NATS/1.0\r\nTrace: t-88\r\nTag: a\r\nTag: b\r\n\r\n"
    shown = nats.render(message := entry(b"HPUB a %d %d\r\n%s{}\r\n" % (len(head), len(head) + 2, head), b""))
    assert shown
    assert [section.title for section in shown.request] == ["NATS", "Headers", "Request", "Body"]
    rows = {row.name: (row.value, row.selector) for row in shown.request[1].rows}
    assert rows == {"Trace": ("t-88", 'request.headers["trace"]'), "Tag": ("a,b", 'request.headers["tag"]')}
    body = shown.request[3]
    assert (body.body, body.mime_type, body.selector) == ("{}", "application/json", "request_body")
    assert message.is_selected_by('request_body == "{}" && request.headers["trace"] == "t-88"')


def test_others_are_not_shown_here() -> None:
    shown = entry(b"PING\r\n", b"")
    assert nats.render(shown)
    shown.protocol = replace(NATS, name="other")
    assert (nats.render(shown), nats.summarize(shown)) == (None, None)
