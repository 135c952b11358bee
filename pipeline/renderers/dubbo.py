"""Rows of Dubbo calls: the method, its service, the status."""

from __future__ import annotations

from typing import Any

from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._summaries import Code, Told, summary

__all__ = ["summarize"]


def _method(method: Any, is_event: Any) -> tuple[str, str]:
    return ("event", "dubbo_event") if is_event else (str(method), equals("dubbo_method", str(method)))


summarize = summary(
    "dubbo",
    Told("dubbo_method", "dubbo_event", by=_method),
    "dubbo_service",
    Code("dubbo_status", answered="dubbo_response"),
)
