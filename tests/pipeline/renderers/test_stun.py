"""What STUN looks like in a list."""

from __future__ import annotations

from kubeshark.extension_api import Message, MessageKind, TableRow
from kubeshark.pipeline.dissectors.network import stun as dissector
from kubeshark.pipeline.dissectors.network.stun import STUN
from kubeshark.pipeline.renderers import stun

from ..dissectors._streams import udp
from ..dissectors.network.test_stun import REQUEST, RESPONSE
from ._entries import FakeEntry


def test_row() -> None:
    request = Message(MessageKind.REQUEST, 0, 0, 9, fields={"stun_method": "Allocate"})
    response = Message(MessageKind.RESPONSE, 1, 0, 9, fields={"stun_error_code": 401, "stun_software": "relay"})
    entry = FakeEntry(STUN, (request, response))
    row = stun.summarize(entry)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("Allocate", "relay", 401)
    assert all(entry.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


def test_sections() -> None:
    messages = dissector.dissect(STUN, [udp((0, REQUEST), (1, RESPONSE))])[0]
    shown = stun.render(FakeEntry(STUN, tuple(part for part in messages if isinstance(part, Message))))
    assert shown
    assert [section.title for section in shown.request] == ["Request", "Attributes"]
    assert [section.title for section in shown.response] == ["Response", "Attributes"]
    assert TableRow("XOR-MAPPED-ADDRESS", "192.0.2.1:32853") in shown.response[1].rows
