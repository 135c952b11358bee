"""Rows of memcached exchanges; the generic renderer shows the rest."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    """Show command and key; status 1 is a miss, a refusal or an error."""
    if entry.protocol.name != "memcached":
        return None
    name = "memcached_command" if entry.get("memcached_command") else "memcached_status"
    command, key = str(entry.get(name)), str(entry.get("memcached_key"))
    is_answered = bool(entry.get("memcached_response"))
    status = int(is_answered and not entry.get("memcached_success"))
    outcome = str(entry.get("memcached_status"))
    return cells(
        command,
        equals(name, command),
        key,
        equals("memcached_key", key),
        status,
        equals("memcached_status", outcome) if is_answered else "",
    )
