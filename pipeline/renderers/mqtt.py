"""Rows and representations of MQTT."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells
from kubeshark.pipeline.renderers._with_body import with_body

__all__ = ["render", "summarize"]


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    """Show packet type and topic, of packets without topic the client; the status is the reason code."""
    if entry.protocol.name != "mqtt":
        return None
    kind, topic = str(entry.get("mqtt_type")), str(entry.get("mqtt_topic"))
    name = "mqtt_topic" if topic else "mqtt_client_id"
    summary = topic or str(entry.get("mqtt_client_id"))
    code = int(str(entry.get("mqtt_reason_code")))
    status_query = equals("mqtt_reason_code", code) if entry.get("mqtt_response") else ""
    return cells(kind, equals("mqtt_type", kind), summary, equals(name, summary), code, status_query)


@hookimpl
def render(entry: EntryView) -> Representation | None:
    return with_body(entry, "payload") if entry.protocol.name == "mqtt" else None
