"""Rows and representations of MySQL exchanges."""

from __future__ import annotations

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._database_sections import sql_representation, sql_summary

__all__ = ["render", "summarize"]

VARIABLES = {"command": "Command", "database": "Database", "statement_id": "Statement"}

summarize = sql_summary("mysql")


@hookimpl
def render(entry: EntryView) -> Representation | None:
    return sql_representation(entry, "mysql", VARIABLES) if entry.protocol.name == "mysql" else None
