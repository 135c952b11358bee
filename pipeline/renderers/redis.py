"""Rows of Redis exchanges; the generic renderer shows the rest."""

from __future__ import annotations

from typing import Any

from kubeshark.pipeline.renderers._summaries import Said, Told, summary

__all__ = ["summarize"]


def _trouble(error: Any) -> tuple[int, str]:
    return (1, 'redis_error != ""') if error != "" else (0, "")


summarize = summary(
    "redis",
    Said("redis_type", "redis_push"),  # of what the server sent unasked: its kind and channel
    "redis_key",
    Told("redis_error", by=_trouble),
)
