"""Rows and representations of TDS exchanges."""

from __future__ import annotations

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._database_sections import sql_representation, sql_summary

__all__ = ["render", "summarize"]

VARIABLES = {"type": "Type", "database": "Database", "procedure": "Procedure"}

summarize = sql_summary("tds", "type")


@hookimpl
def render(entry: EntryView) -> Representation | None:
    return sql_representation(entry, "tds", VARIABLES) if entry.protocol.name == "tds" else None
