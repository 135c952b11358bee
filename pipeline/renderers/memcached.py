"""Rows of memcached exchanges; the generic renderer shows the rest."""

from __future__ import annotations

from typing import Any

from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._summaries import Said, Told, summary

__all__ = ["summarize"]


def _outcome(response: Any, success: Any, status: Any) -> tuple[int, str]:
    """1 is a miss, a refusal or an error."""
    return int(bool(response) and not success), equals("memcached_status", str(status)) if response else ""


summarize = summary(
    "memcached",
    Said("memcached_command", "memcached_status"),
    "memcached_key",
    Told("memcached_response", "memcached_success", "memcached_status", by=_outcome),
)
