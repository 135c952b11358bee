"""Rows and representations of TDS exchanges."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._database_sections import sql_cells, sql_representation

__all__ = ["render", "summarize"]

VARIABLES = {"type": "Type", "database": "Database", "procedure": "Procedure"}


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    return sql_cells(entry, "tds", "type") if entry.protocol.name == "tds" else None


@hookimpl
def render(entry: EntryView) -> Representation | None:
    return sql_representation(entry, "tds", VARIABLES) if entry.protocol.name == "tds" else None
