"""Rows of ZMTP; the generic renderer shows the rest."""

from __future__ import annotations

from typing import Any

from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._summaries import Said, Told, summary

__all__ = ["summarize"]

SAYS_MOST = ("zmtp_error_message", "zmtp_topic", "zmtp_socket_type", "zmtp_mechanism")


def _trouble(kind: Any) -> tuple[int, str]:
    """1 is an ERROR command."""
    return (1, equals("zmtp_type", kind)) if kind == "ERROR" else (0, "")


summarize = summary("zmtp", "zmtp_type", Said(*SAYS_MOST), Told("zmtp_type", by=_trouble))
