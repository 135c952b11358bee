"""Rows and representations of PostgreSQL exchanges."""

from __future__ import annotations

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._database_sections import sql_representation, sql_summary

__all__ = ["render", "summarize"]

VARIABLES = {"command": "Command", "database": "Database", "user": "User"}

summarize = sql_summary("postgresql", "command", "subject")


@hookimpl
def render(entry: EntryView) -> Representation | None:
    return sql_representation(entry, "postgresql", VARIABLES) if entry.protocol.name == "postgresql" else None
