"""What STUN looks like in a list."""

from __future__ import annotations

from kubeshark.extension_api import Message, MessageKind
from kubeshark.pipeline.dissectors.stun import STUN
from kubeshark.pipeline.renderers import stun

from ._entries import FakeEntry


def test_row() -> None:
    request = Message(MessageKind.REQUEST, 0, 0, 9, fields={"stun_method": "Allocate"})
    response = Message(MessageKind.RESPONSE, 1, 0, 9, fields={"stun_error_code": 401, "stun_software": "relay"})
    entry = FakeEntry(STUN, (request, response))
    row = stun.summarize(entry)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("Allocate", "relay", 401)
    assert all(entry.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))
