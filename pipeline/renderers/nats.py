"""Rows and representations of NATS."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._summaries import Said, Told, summary
from kubeshark.pipeline.renderers._with_body import with_body

__all__ = ["render", "summarize"]


def _trouble(error: Any) -> tuple[int, str]:
    """1 is an error of the server."""
    return int(error != ""), equals("nats_error_message", str(error))


summarize = summary(
    "nats", "nats_type", Said("nats_subject", "nats_error_message"), Told("nats_error_message", by=_trouble)
)


@hookimpl
def render(entry: EntryView) -> Representation | None:
    return with_body(entry, "payload") if entry.protocol.name == "nats" else None
