"""What SSH looks like in a list."""

from __future__ import annotations

from kubeshark.extension_api import Message, MessageKind
from kubeshark.pipeline.dissectors.sessions.ssh import SSH
from kubeshark.pipeline.renderers import ssh

from ._entries import FakeEntry


def test_row() -> None:
    fields = {"ssh_type": "identification", "ssh_client_software": "client_1"}
    request = Message(MessageKind.REQUEST, 0, 0, 9, fields={**fields})
    response = Message(MessageKind.RESPONSE, 1, 0, 9, fields={"ssh_server_software": "server_2"})
    entry = FakeEntry(SSH, (request, response))
    row = ssh.summarize(entry)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("identification", "server_2", 0)
    assert all(entry.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery"))
