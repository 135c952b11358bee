"""What FTP looks like in a list."""

from __future__ import annotations

from kubeshark.extension_api import Message, MessageKind
from kubeshark.pipeline.dissectors.sessions.ftp import FTP
from kubeshark.pipeline.renderers import ftp

from ._entries import FakeEntry


def test_row() -> None:
    request = Message(MessageKind.REQUEST, 0, 0, 9, fields={"ftp_command": "RETR", "ftp_argument": "a.txt"})
    response = Message(MessageKind.RESPONSE, 1, 0, 9, fields={"ftp_status": 550, "ftp_reply": "No such file"})
    entry = FakeEntry(FTP, (request, response))
    row = ftp.summarize(entry)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("RETR", "a.txt", 550)
    assert all(entry.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))
