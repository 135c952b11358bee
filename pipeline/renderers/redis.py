"""Rows of Redis exchanges; the generic renderer shows the rest."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    """Show verb and key; status 1 is an error. Of what the server sent unasked: its kind and channel."""
    if entry.protocol.name != "redis":
        return None
    name = "redis_type" if entry.get("redis_type") else "redis_push"
    verb, key = str(entry.get(name)), str(entry.get("redis_key"))
    error = str(entry.get("redis_error"))
    status = int(error != "")
    return cells(
        verb,
        equals(name, verb),
        key,
        equals("redis_key", key),
        status,
        'redis_error != ""' if status else "",
    )
