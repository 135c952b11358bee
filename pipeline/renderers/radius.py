"""Rows of RADIUS exchanges: the request, who it is about, the code of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import BUILTIN, cells, row, table, variable_rows

__all__ = ["render", "summarize"]

ABOUT = ("radius_username", "radius_session_id", "radius_nas")


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "radius":
        return None
    name, status = str(entry.get("radius_code_name")), int(str(entry.get("status_code")))
    variable = next((variable for variable in ABOUT if entry.get(variable)), ABOUT[0])
    about = str(entry.get(variable))
    status_query = equals("status_code", status) if status else ""
    return cells(name, equals("radius_code_name", name), about, equals(variable, about), status, status_query)


REQUEST = {
    "radius_code_name": "Code",
    "radius_username": "User",
    "radius_nas": "NAS",
    "radius_request_authenticator": "Authenticator",
    "radius_request_length": "Bytes",
}
RESPONSE = {"radius_reply_name": "Code", "status_code": "Code number", "radius_response_length": "Bytes"}


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.name != "radius":
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
