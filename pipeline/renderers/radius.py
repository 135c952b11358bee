"""Rows of RADIUS exchanges: the request, who it is about, the code of the answer."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]

ABOUT = ("radius_username", "radius_session_id", "radius_nas")


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "radius":
        return None
    name, status = str(entry.get("radius_code_name")), int(str(entry.get("status_code")))
    variable = next((variable for variable in ABOUT if entry.get(variable)), ABOUT[0])
    about = str(entry.get(variable))
    status_query = equals("status_code", status) if status else ""
    return cells(name, equals("radius_code_name", name), about, equals(variable, about), status, status_query)
