"""What RADIUS looks like in a list."""

from __future__ import annotations

from kubeshark.extension_api import Message, MessageKind, TableRow
from kubeshark.pipeline.dissectors.access import radius as dissector
from kubeshark.pipeline.dissectors.access.radius import RADIUS
from kubeshark.pipeline.renderers import radius

from ..dissectors._streams import udp
from ..dissectors.access.test_radius import ACCEPT, REQUEST
from ._entries import FakeEntry


def test_row() -> None:
    fields = {"radius_code_name": "Access-Request", "radius_username": "ada", "radius_code": 1}
    request = Message(MessageKind.REQUEST, 0, 0, 9, fields={**fields})
    response = Message(MessageKind.RESPONSE, 1, 0, 9, fields={"status_code": 3, "radius_code": 3})
    entry = FakeEntry(RADIUS, (request, response))
    row = radius.summarize(entry)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("Access-Request", "ada", 3)
    assert all(entry.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


def test_sections() -> None:
    messages = dissector.dissect(RADIUS, [udp((0, REQUEST), (1, ACCEPT), port=1812)])[0]
    shown = radius.render(FakeEntry(RADIUS, tuple(part for part in messages if isinstance(part, Message))))
    assert shown
    assert [section.title for section in shown.request] == ["Request", "Attributes"]
    assert [section.title for section in shown.response] == ["Response", "Attributes"]
    assert shown.response[1].rows[0] == TableRow("Reply-Message", "Welcome")
