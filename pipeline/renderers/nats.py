"""Rows and representations of NATS."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, Representation, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells
from kubeshark.pipeline.renderers._with_body import with_body

__all__ = ["render", "summarize"]


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    """Show operation and subject, or what went wrong; status 1 is an error of the server."""
    if entry.protocol.name != "nats":
        return None
    kind, subject, error = (str(entry.get(name)) for name in ("nats_type", "nats_subject", "nats_error_message"))
    summary, name = (subject, "nats_subject") if subject else (error, "nats_error_message")
    return cells(
        kind,
        equals("nats_type", kind),
        summary,
        equals(name, summary),
        int(error != ""),
        equals("nats_error_message", error),
    )


@hookimpl
def render(entry: EntryView) -> Representation | None:
    return with_body(entry, "payload") if entry.protocol.name == "nats" else None
