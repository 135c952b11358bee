"""Rows of ZMTP; the generic renderer shows the rest."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]

SAYS_MOST = ("zmtp_error_message", "zmtp_topic", "zmtp_socket_type", "zmtp_mechanism")


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    """Show the type, and topic, socket type or mechanism; status 1 is an ERROR command."""
    if entry.protocol.name != "zmtp":
        return None
    kind = str(entry.get("zmtp_type"))
    name = next((name for name in SAYS_MOST if entry.get(name)), SAYS_MOST[-1])
    summary = str(entry.get(name))
    status = int(kind == "ERROR")
    query = equals("zmtp_type", kind)
    return cells(kind, query, summary, equals(name, summary), status, query if status else "")
