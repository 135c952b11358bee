"""Rows of Diameter: the command, the session, the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, TableRow, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import BUILTIN, cells, row, table, variable_rows

__all__ = ["render", "summarize"]


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "diameter":
        return None
    method, result = str(entry.get("diameter_method")), int(str(entry.get("diameter_result_code")))
    variable = "diameter_username" if entry.get("diameter_username") else "diameter_summary"
    about = str(entry.get(variable))
    status_query = equals("diameter_result_code", result) if result else ""
    return cells(method, equals("diameter_method", method), about, equals(variable, about), result, status_query)


REQUEST = {
    "diameter_method": "Command",
    "diameter_application": "Application",
    "diameter_session_id": "Session",
    "diameter_origin_host": "From",
    "diameter_destination_host": "To",
    "diameter_request_length": "Bytes",
}
RESPONSE = {
    "diameter_result_code": "Result",
    "diameter_result_name": "Meaning",
    "diameter_response_length": "Bytes",
}
INDENT = "\u2003"


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.name != "diameter":
        return None
    document = entry.document()
    request, response = document["request"], document["response"]
    return Representation(
        BUILTIN,
        request=(*table("Request", variable_rows(entry, REQUEST)), *_avps(request)) if request else (),
        response=(*table("Answer", variable_rows(entry, RESPONSE)), *_avps(response)) if response else (),
    )


def _avps(message: Mapping[str, Any]) -> tuple[Section, ...]:
    return table("AVPs", _rows(message.get("avps", ()), ""))


def _rows(avps: Sequence[Mapping[str, Any]], indent: str) -> Iterator[TableRow]:
    """Yield a row for each AVP, those of a group indented below it."""
    for avp in avps:
        if isinstance(avp["value"], list):
            yield row(indent + avp["name"], "")
            yield from _rows(avp["value"], indent + INDENT)
        else:
            yield row(indent + avp["name"], avp["value"])
