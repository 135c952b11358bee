"""Rows and representations of ICMP."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._sections import BUILTIN, mapping, table, variable_rows
from kubeshark.pipeline.renderers._summaries import summary

__all__ = ["render", "summarize"]

VARIABLES = {
    "icmp_version": "Version",
    "icmp_type": "Type",
    "icmp_code": "Code",
    "icmp_description": "Meaning",
    "icmp_length": "Bytes",
}

summarize = summary("icmp", "icmp_type", "icmp_description")


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.name != "icmp":
        return None
    document = entry.document()
    event = (document["event"] or {}).get("data")
    summary = table("ICMP", variable_rows(entry, VARIABLES))
    return Representation(
        BUILTIN,
        request=(*summary, *_identity(document["request"])) if document["request"] else (),
        response=(*(() if document["request"] else summary), *_identity(document["response"]))
        if document["response"]
        else (),
        event=(*summary, *_identity(event)) if event else (),
    )


def _identity(data: dict[str, Any]) -> tuple[Section, ...]:
    """Return what only the full message says: the echo's id and sequence, the packet an error quotes."""
    echo = {"Id": data["id"], "Sequence": data["sequence"]} if data["id"] or data["sequence"] else {}
    return (*mapping("Echo", echo), *mapping("Quoted packet", data["quoted"] or {}))
