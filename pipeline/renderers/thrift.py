"""Rows of Thrift calls: the method, its service, 1 for an exception."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "thrift":
        return None
    method, service = str(entry.get("thrift_method")), str(entry.get("thrift_service"))
    query = equals("thrift_service", service)
    if not service:  # only connections that several services share name it
        service = str(entry.get("thrift_type"))
        query = equals("thrift_type", service)
    failed = bool(entry.get("thrift_response")) and not entry.get("thrift_success")
    status_query = f"thrift_success == {str(not failed).lower()}" if entry.get("thrift_response") else ""
    return cells(method, equals("thrift_method", method), service, query, int(failed), status_query)
