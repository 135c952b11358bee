"""Rows of Diameter: the command, the session, the result."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "diameter":
        return None
    method, result = str(entry.get("diameter_method")), int(str(entry.get("diameter_result_code")))
    variable = "diameter_username" if entry.get("diameter_username") else "diameter_summary"
    about = str(entry.get(variable))
    status_query = equals("diameter_result_code", result) if result else ""
    return cells(method, equals("diameter_method", method), about, equals(variable, about), result, status_query)
