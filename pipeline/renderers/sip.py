"""SIP: the method, who is called, the status; headers and body on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import BUILTIN, body, cells, mapping, table, variable_rows

__all__ = ["render", "summarize"]

REQUEST = {"sip_method": "Method", "sip_uri": "URI", "sip_from": "From", "sip_to": "To", "sip_call_id": "Call-ID"}
RESPONSE = {"sip_status": "Status", "sip_reason": "Reason", "sip_cseq": "CSeq"}


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "sip":
        return None
    method, status = str(entry.get("sip_method")), int(str(entry.get("sip_status")))
    variable = "sip_uri" if entry.get("sip_uri") else "sip_to"
    about = str(entry.get(variable))
    status_query = equals("sip_status", status) if status else ""
    return cells(method, equals("sip_method", method), about, equals(variable, about), status, status_query)


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.name != "sip":
        return None
    document = entry.document()
    request, response = document["request"], document["response"]
    return Representation(
        BUILTIN,
        request=(*table("Request", variable_rows(entry, REQUEST)), *_message(request, "request_body"))
        if request
        else (),
        response=(*table("Response", variable_rows(entry, RESPONSE)), *_message(response, "response_body"))
        if response
        else (),
    )


def _message(message: Mapping[str, Any], variable: str) -> tuple[Section, ...]:
    headers = message.get("headers", {})
    kind = headers.get("Content-Type", "text/plain")
    mime_type = kind if isinstance(kind, str) else "text/plain"
    return (*mapping("Headers", headers), *body("Body", message.get("body", ""), "", mime_type, variable))
