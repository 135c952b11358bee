"""Rows and representations of AMQP."""

from __future__ import annotations

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._summaries import Said, summary
from kubeshark.pipeline.renderers._with_body import with_body

__all__ = ["render", "summarize"]


summarize = summary(
    "amqp",
    Said("amqp_method", shown=lambda method: method.replace(".", " ")),
    "amqp_summary",
    "amqp_reply_code",
)


@hookimpl
def render(entry: EntryView) -> Representation | None:
    return with_body(entry, "body") if entry.protocol.name == "amqp" else None
