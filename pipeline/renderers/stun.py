"""Rows of STUN: the method, the address it found, the error code."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import cells

__all__ = ["summarize"]

ABOUT = ("stun_relayed_address", "stun_mapped_address", "stun_peer_address", "stun_username", "stun_software")


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "stun":
        return None
    method, code = str(entry.get("stun_method")), int(str(entry.get("stun_error_code")))
    variable = next((name for name in ABOUT if entry.get(name)), ABOUT[0])
    about = str(entry.get(variable))
    status_query = equals("stun_error_code", code) if code else ""
    return cells(method, equals("stun_method", method), about, equals(variable, about), code, status_query)
