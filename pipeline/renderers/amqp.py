"""Rows of AMQP; the generic renderer shows the rest."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]


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
