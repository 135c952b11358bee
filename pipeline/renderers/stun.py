"""Rows of STUN: the method, the address it found, the error code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import BUILTIN, cells, row, table, variable_rows

__all__ = ["render", "summarize"]

ABOUT = ("stun_relayed_address", "stun_mapped_address", "stun_peer_address", "stun_username", "stun_software")


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "stun":
        return None
    method, code = str(entry.get("stun_method")), int(str(entry.get("stun_error_code")))
    variable = next((name for name in ABOUT if entry.get(name)), ABOUT[0])
    about = str(entry.get(variable))
    status_query = equals("stun_error_code", code) if code else ""
    return cells(method, equals("stun_method", method), about, equals(variable, about), code, status_query)


REQUEST = {"stun_method": "Method", "stun_username": "User", "stun_request_size": "Bytes"}
RESPONSE = {
    "stun_mapped_address": "Mapped address",
    "stun_relayed_address": "Relayed address",
    "stun_software": "Software",
    "stun_response_size": "Bytes",
}


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.name != "stun":
        return None
    document = entry.document()
    request, response = document["request"], document["response"]
    return Representation(
        BUILTIN,
        request=(*table("Request", variable_rows(entry, REQUEST)), *_attributes(request)) if request else (),
        response=(*table("Response", variable_rows(entry, RESPONSE)), *_attributes(response)) if response else (),
    )


def _attributes(message: Mapping[str, Any]) -> tuple[Section, ...]:
    return table("Attributes", (row(part["name"], part["value"]) for part in message.get("attributes", ())))
