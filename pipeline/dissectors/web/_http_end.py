"""Messages of HTTP that are not whole because their connection ended first (RFC 9112 §8, RFC 9113 §8.1)."""

from __future__ import annotations

from kubeshark.extension_api import StreamSide

__all__ = ["ended_early"]


def ended_early(side: StreamSide, where: str) -> str:
    """Return the error of a message in the middle of which its side ended.

    "" where nobody saw the end: then the capture ended, or lost the rest.
    """
    if not side.ended:
        return ""
    return f"Reset: the connection was {'closed' if side.ended == 'closed' else 'reset'} {where}"
