"""Rows of Dubbo calls: the method, its service, the status."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "dubbo":
        return None
    method, service = str(entry.get("dubbo_method")), str(entry.get("dubbo_service"))
    query = equals("dubbo_method", method)
    if entry.get("dubbo_event"):
        method, query = "event", "dubbo_event"
    status = int(str(entry.get("dubbo_status")))
    status_query = equals("dubbo_status", status) if entry.get("dubbo_response") else ""
    return cells(method, query, service, equals("dubbo_service", service), status, status_query)
