"""What AMQP looks like in a list."""

from __future__ import annotations

from kubeshark.pipeline.dissectors.messaging.amqp import AMQP, dissect
from kubeshark.pipeline.renderers import amqp

from ..dissectors._streams import tcp
from ..dissectors.messaging.test_amqp import long, publish, short
from ._entries import FakeEntry

CLOSE = b"\x01\0\1\0\0\0\x0d\0\x14\0\x28\x01\x94\x02no\0\0\0\0\xce"


def test_row() -> None:
    shown = FakeEntry(AMQP, tuple(dissect(AMQP, [tcp(CLOSE, port=5672)])[0]))
    row = amqp.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("channel close", "no", 404)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


def test_body_headers_and_properties() -> None:
    headers = long(short(b"trace") + b"S" + long(b"t-88") + short(b"nested") + b"F" + long(b""))
    wire = publish(b"ex", b"k", b"<p>", flags=0xA000, properties=short(b"text/html") + headers)
    shown = amqp.render(message := FakeEntry(AMQP, tuple(dissect(AMQP, [tcp(wire, port=5672)])[0])))
    assert shown
    assert [section.title for section in shown.request[1:]] == ["Headers", "Properties", "Request", "Body"]
    assert [(row.name, row.value) for section in shown.request[1:3] for row in section.rows] == [
        ("trace", "t-88"),
        ("nested", "{}"),
        ("contentType", "text/html"),
    ]
    body = shown.request[4]
    assert (body.body, body.mime_type, body.selector) == ("<p>", "text/html", "request_body")
    assert message.is_selected_by('request_body == "<p>"')
