"""Messages of a stream that a scanner took, made of its rows: where they lie and what summaries say is known.

A dissector that has a function `read_rows` is not asked to find them again; what it returns is what `dissect` would
(tests/pipeline/dissection/test_scans.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kubeshark.extension_api import Message, Stream

__all__ = ["LAST_PACKET", "PACKET", "PLACE", "MessageRow", "ReadRows"]

MessageRow = tuple[Any, ...]
"""A row of MESSAGE as ROW reads it: its fields, then those of `number`, then (at, length) of each `text`."""

PACKET, LAST_PACKET, PLACE = 4, 5, 6  # in a MessageRow

ReadRows = Callable[[Stream, Sequence[MessageRow], bytes], Sequence[Message] | None]
"""Gives the message of each row of a stream, whose texts lie in these bytes; None: `dissect` must be asked."""
