"""Rows of SSH: what the ends told each other, and the part of it that tells them apart."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]

ABOUT = ("ssh_host_key_fingerprint", "ssh_kex", "ssh_server_software", "ssh_client_software", "ssh_hassh")


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "ssh":
        return None
    kind = str(entry.get("ssh_type"))
    variable = next((name for name in ABOUT if entry.get(name)), ABOUT[0])
    about = str(entry.get(variable))
    return cells(kind, equals("ssh_type", kind), about, equals(variable, about))
