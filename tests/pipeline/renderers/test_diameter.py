"""What Diameter looks like in a list."""

from __future__ import annotations

from kubeshark.extension_api import Message, MessageKind, TableRow
from kubeshark.pipeline.dissectors.access import diameter as dissector
from kubeshark.pipeline.dissectors.access.diameter import DIAMETER
from kubeshark.pipeline.renderers import diameter

from ..dissectors._streams import tcp
from ..dissectors.access.test_diameter import CCA, avp, message
from ._entries import FakeEntry


def test_row() -> None:
    request = Message(MessageKind.REQUEST, 0, 0, 9, fields={"diameter_method": "AA", "diameter_summary": "s;1"})
    response = Message(MessageKind.RESPONSE, 1, 0, 9, fields={"diameter_result_code": 5003})
    entry = FakeEntry(DIAMETER, (request, response))
    row = diameter.summarize(entry)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("AA", "s;1", 5003)
    assert all(entry.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


def test_sections() -> None:
    messages = dissector.dissect(DIAMETER, [tcp(message(272, avp(443, avp(444, b"7"))), CCA, port=3868)])[0]
    shown = diameter.render(FakeEntry(DIAMETER, tuple(part for part in messages if isinstance(part, Message))))
    assert shown
    assert [section.title for section in shown.request] == ["Request", "AVPs"]
    assert [row.name.strip() for row in shown.request[1].rows] == ["Subscription-Id", "Subscription-Id-Data"]
    assert shown.response[0].rows[0] == TableRow("Result", 2001, "diameter_result_code")
