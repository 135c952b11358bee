"""Text from bytes that claim to be text."""

from __future__ import annotations

__all__ = ["text"]


def text(data: bytes) -> str:
    """Decode UTF-8; what is not UTF-8 is read as Latin-1, which loses nothing and never fails."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
