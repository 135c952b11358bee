"""Rows of LDAP operations: the operation, the name it is about, the result code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kubeshark.extension_api import EntryView, Section, TableRow
from kubeshark.pipeline.renderers._halves import halves
from kubeshark.pipeline.renderers._sections import row, table, variable_rows
from kubeshark.pipeline.renderers._summaries import Code, Said, summary

__all__ = ["render", "summarize"]


summarize = summary("ldap", "ldap_type", Said("ldap_dn", "ldap_summary"), Code("ldap_result", answered="ldap_response"))


REQUEST = {
    "ldap_type": "Operation",
    "ldap_dn": "Name",
    "ldap_scope": "Scope",
    "ldap_filter": "Filter",
    "ldap_request_length": "Bytes",
}
RESPONSE = {
    "ldap_result": "Result",
    "ldap_result_name": "Meaning",
    "ldap_entries": "Entries",
    "ldap_response_length": "Bytes",
}
SHOWN_ENTRIES = 100


def _request(entry: EntryView, request: Mapping[str, Any]) -> tuple[Section, ...]:
    names = (row("Attribute", name) for name in request.get("attributes", ()))
    return (
        *table("Request", [*variable_rows(entry, REQUEST), *_facts(request)]),
        *table("Attributes", names if "values" not in request and "changes" not in request else ()),
        *table("Values", (row(part["type"], part["values"]) for part in request.get("values", ()))),
        *table(
            "Changes",
            (row(f"{part['operation']} {part['type']}", part["values"]) for part in request.get("changes", ())),
        ),
        *_controls(request),
    )


def _facts(request: Mapping[str, Any]) -> Iterator[TableRow]:
    for name in ("authentication", "mechanism", "name", "newRdn", "newSuperior", "sizeLimit", "timeLimit"):
        if request.get(name):
            yield row(name, request[name])
    if assertion := request.get("assertion"):
        yield row(assertion["type"], assertion["value"])


def _response(entry: EntryView, response: Mapping[str, Any]) -> tuple[Section, ...]:
    said = [row(name, response[name]) for name in ("matchedDn", "message", "value") if response.get(name)]
    referrals = [row("Referral", uri) for uri in response.get("referrals", ())]
    sections = [*table("Response", [*variable_rows(entry, RESPONSE), *said, *referrals])]
    for found in response.get("entries", ())[:SHOWN_ENTRIES]:
        sections += table(found["dn"] or "(root)", (row(name, value) for name, value in found["attributes"].items()))
    return (*sections, *_controls(response))


def _controls(message: Mapping[str, Any]) -> tuple[Section, ...]:
    return table(
        "Controls", (row(control["name"], control.get("value", "")) for control in message.get("controls", ()))
    )


def _event(_: EntryView, event: Mapping[str, Any]) -> tuple[Section, ...]:
    return table("Event", (row(name, value) for name, value in event.items() if value not in ("", [], {})))


render = halves("ldap", _request, _response, _event)
