"""What LDAP looks like in a list."""

from __future__ import annotations

from kubeshark.extension_api import Message, MessageKind, TableRow
from kubeshark.pipeline.dissectors.access import ldap as dissector
from kubeshark.pipeline.dissectors.access.ldap import LDAP
from kubeshark.pipeline.renderers import ldap

from ..dissectors._streams import tcp
from ..dissectors.access.test_ldap import DN, DONE, ENTRY, OPERATIONS, SEARCH, message
from ._entries import FakeEntry


def test_row() -> None:
    request = Message(MessageKind.REQUEST, 0, 0, 9, fields={"ldap_type": "search", "ldap_dn": "dc=example"})
    response = Message(MessageKind.RESPONSE, 1, 0, 9, fields={"ldap_result": 32, "ldap_response": True})
    entry = FakeEntry(LDAP, (request, response))
    row = ldap.summarize(entry)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("search", "dc=example", 32)
    assert all(entry.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


def test_sections() -> None:
    messages = dissector.dissect(LDAP, [tcp(message(7, SEARCH), message(7, ENTRY) + message(7, DONE), port=389)])[0]
    shown = ldap.render(FakeEntry(LDAP, tuple(part for part in messages if isinstance(part, Message))))
    assert shown
    assert [section.title for section in shown.request] == ["Request", "Attributes"]
    assert [section.title for section in shown.response] == ["Response", DN.decode()]
    assert shown.response[1].rows == (TableRow("cn", "Ada"), TableRow("userPassword", "[redacted]"))


def test_every_operation_has_sections() -> None:
    for operation, _ in OPERATIONS.values():
        messages = dissector.dissect(LDAP, [tcp(message(7, operation), port=389)])[0]
        shown = ldap.render(FakeEntry(LDAP, tuple(part for part in messages if isinstance(part, Message))))
        assert shown
        assert shown.request[0].title == "Request"
