"""Rows of Diameter: the command, the session, the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kubeshark.extension_api import Section, TableRow
from kubeshark.pipeline.renderers._halves import halves, titled
from kubeshark.pipeline.renderers._sections import row, table
from kubeshark.pipeline.renderers._summaries import Said, summary

__all__ = ["render", "summarize"]


summarize = summary(
    "diameter", "diameter_method", Said("diameter_username", "diameter_summary"), "diameter_result_code"
)

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


render = halves("diameter", titled("Request", REQUEST, _avps), titled("Answer", RESPONSE, _avps))
