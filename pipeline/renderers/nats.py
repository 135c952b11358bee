"""Rows of NATS; the generic renderer shows the rest."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]


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
