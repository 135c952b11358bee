"""SIP: the method, who is called, the status; headers and body on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from kubeshark.extension_api import Section
from kubeshark.pipeline.renderers._halves import halves, titled
from kubeshark.pipeline.renderers._sections import body, mapping
from kubeshark.pipeline.renderers._summaries import Said, summary

__all__ = ["render", "summarize"]

REQUEST = {"sip_method": "Method", "sip_uri": "URI", "sip_from": "From", "sip_to": "To", "sip_call_id": "Call-ID"}
RESPONSE = {"sip_status": "Status", "sip_reason": "Reason", "sip_cseq": "CSeq"}

summarize = summary("sip", "sip_method", Said("sip_uri", "sip_to"), "sip_status")


def _message(message: Mapping[str, Any], variable: str) -> tuple[Section, ...]:
    headers = message.get("headers", {})
    kind = headers.get("Content-Type", "text/plain")
    mime_type = kind if isinstance(kind, str) else "text/plain"
    return (*mapping("Headers", headers), *body("Body", message.get("body", ""), "", mime_type, variable))


render = halves(
    "sip",
    titled("Request", REQUEST, partial(_message, variable="request_body")),
    titled("Response", RESPONSE, partial(_message, variable="response_body")),
)
