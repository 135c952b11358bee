"""Messages of HTTP that are not whole because their connection ended first (RFC 9112 §8, RFC 9113 §8.1)."""

from __future__ import annotations

from kubeshark.extension_api import Ending

__all__ = ["ended_early"]


def ended_early(ending: Ending, where: str) -> str:
    """Return the error of a message in the middle of which its side ended; "" where that was not seen."""
    if not ending:
        return ""
    how = "CloseWait: the connection was closed" if ending == "closed" else "Reset: the connection was reset"
    return f"{how} {where}"
