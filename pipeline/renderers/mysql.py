"""Rows and representations of MySQL exchanges."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._database_sections import sql_cells, sql_representation

__all__ = ["render", "summarize"]

VARIABLES = {"command": "Command", "database": "Database", "statement_id": "Statement"}


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    return sql_cells(entry, "mysql") if entry.protocol.name == "mysql" else None


@hookimpl
def render(entry: EntryView) -> Representation | None:
    return sql_representation(entry, "mysql", VARIABLES) if entry.protocol.name == "mysql" else None
