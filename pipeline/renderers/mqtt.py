"""Rows and representations of MQTT."""

from __future__ import annotations

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._summaries import Code, Said, summary
from kubeshark.pipeline.renderers._with_body import with_body

__all__ = ["render", "summarize"]


summarize = summary(
    "mqtt", "mqtt_type", Said("mqtt_topic", "mqtt_client_id"), Code("mqtt_reason_code", answered="mqtt_response")
)


@hookimpl
def render(entry: EntryView) -> Representation | None:
    return with_body(entry, "payload") if entry.protocol.name == "mqtt" else None
