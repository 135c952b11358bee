"""Rows and representations of AMQP."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells
from kubeshark.pipeline.renderers._with_body import with_body

__all__ = ["render", "summarize"]


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    """Show method and what it is about; the status is the reply code, 0 where there is none."""
    if entry.protocol.name != "amqp":
        return None
    method, summary = str(entry.get("amqp_method")), str(entry.get("amqp_summary"))
    code = int(str(entry.get("amqp_reply_code")))
    return cells(
        method.replace(".", " "),
        equals("amqp_method", method),
        summary,
        equals("amqp_summary", summary),
        code,
        equals("amqp_reply_code", code) if code else "",
    )


@hookimpl
def render(entry: EntryView) -> Representation | None:
    return with_body(entry, "body") if entry.protocol.name == "amqp" else None
