"""What SMTP looks like."""

from __future__ import annotations

from kubeshark.extension_api import Message
from kubeshark.pipeline.dissectors.sessions import smtp as dissector
from kubeshark.pipeline.renderers import smtp

from ..dissectors._streams import tcp
from ._entries import FakeEntry

CLIENT = b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nSubject: Hi\r\n\r\nText\r\n.\r\n"
SERVER = b"220 x ESMTP\r\n250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 queued\r\n"


def entry(*commands: str) -> FakeEntry:
    messages = dissector.dissect(dissector.SMTP, [tcp(CLIENT, SERVER)])[0]
    chosen = [found for found in messages if isinstance(found, Message)]
    request = next(found for found in chosen if found.fields.get("smtp_command") in commands)
    return FakeEntry(dissector.SMTP, (request, chosen[-1]))


def test_row_of_a_message() -> None:
    shown = entry("DATA")
    row = smtp.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("DATA", "b@y", 250)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


def test_row_of_a_sender() -> None:
    shown = entry("MAIL")
    row = smtp.summarize(shown)
    assert row
    assert row["summary"] == "a@x"
    assert shown.is_selected_by(row["summaryQuery"])


def test_message_has_header_and_body() -> None:
    shown = smtp.render(entry("DATA"))
    assert shown
    assert [section.title for section in shown.request] == ["Request", "Header", "Body"]
    assert shown.request[2].body == "Text"
    assert [row.value for row in shown.response[0].rows] == [250, "2.0.0 queued"]
