"""What LDAP looks like in a list."""

from __future__ import annotations

from kubeshark.extension_api import Message, MessageKind
from kubeshark.pipeline.dissectors.ldap import LDAP
from kubeshark.pipeline.renderers import ldap

from ._entries import FakeEntry


def test_row() -> None:
    request = Message(MessageKind.REQUEST, 0, 0, 9, fields={"ldap_type": "search", "ldap_dn": "dc=example"})
    response = Message(MessageKind.RESPONSE, 1, 0, 9, fields={"ldap_result": 32, "ldap_response": True})
    entry = FakeEntry(LDAP, (request, response))
    row = ldap.summarize(entry)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("search", "dc=example", 32)
    assert all(entry.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))
