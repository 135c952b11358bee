"""Rows and representations of PostgreSQL exchanges."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._database_sections import sql_cells, sql_representation

__all__ = ["render", "summarize"]

VARIABLES = {"command": "Command", "database": "Database", "user": "User"}


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    return sql_cells(entry, "postgresql") if entry.protocol.name == "postgresql" else None


@hookimpl
def render(entry: EntryView) -> Representation | None:
    return sql_representation(entry, "postgresql", VARIABLES) if entry.protocol.name == "postgresql" else None
