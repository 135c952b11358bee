"""What Diameter looks like in a list."""

from __future__ import annotations

from kubeshark.extension_api import Message, MessageKind
from kubeshark.pipeline.dissectors.diameter import DIAMETER
from kubeshark.pipeline.renderers import diameter

from ._entries import FakeEntry


def test_row() -> None:
    request = Message(MessageKind.REQUEST, 0, 0, 9, fields={"diameter_method": "AA", "diameter_summary": "s;1"})
    response = Message(MessageKind.RESPONSE, 1, 0, 9, fields={"diameter_result_code": 5003})
    entry = FakeEntry(DIAMETER, (request, response))
    row = diameter.summarize(entry)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("AA", "s;1", 5003)
    assert all(entry.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))
