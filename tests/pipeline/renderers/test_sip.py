"""What SIP looks like."""

from __future__ import annotations

from kubeshark.extension_api import Message
from kubeshark.pipeline.dissectors.sessions import sip as dissector
from kubeshark.pipeline.renderers import sip

from ..dissectors._streams import udp
from ._entries import FakeEntry

HEAD = b"From: <sip:a@x>\r\nTo: <sip:b@y>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 4\r\n\r\nbody"
STREAM = udp((0, b"INVITE sip:b@y SIP/2.0\r\n" + HEAD), (1, b"SIP/2.0 486 Busy Here\r\n" + HEAD), port=5060)


def entry() -> FakeEntry:
    messages = dissector.dissect(dissector.SIP, [STREAM])[0]
    return FakeEntry(dissector.SIP, tuple(found for found in messages if isinstance(found, Message)))


def test_row() -> None:
    shown = entry()
    row = sip.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("INVITE", "sip:b@y", 486)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


def test_sections() -> None:
    shown = sip.render(entry())
    assert shown
    assert [section.title for section in shown.request] == ["Request", "Headers", "Body"]
    assert [section.title for section in shown.response] == ["Response", "Headers", "Body"]
    assert shown.response[2].body == "body"
