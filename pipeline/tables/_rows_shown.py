"""What lists show of many rows that is no KFL variable: cells, lines, sizes. Read from columns where they tell it.

An entry is looked at where its summarizer is a function of entries, or where columns do not know what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.pipeline.dissection._scanned import message_bytes
from kubeshark.pipeline.tables._groups import by_protocol
from kubeshark.pipeline.tables._kinds import MADE

if TYPE_CHECKING:
    from kubeshark.pipeline.tables._table import Found

__all__ = ["CELLS", "INTERLEAVING", "LINE", "SHOWN", "SIZE"]

CELLS, LINE, SIZE = "@cells", "@line", "@size"

INTERLEAVING = frozenset({"kubeshark.pipeline.dissectors.web.http2"})
"""Dissectors whose messages lie among each other: only they know how many bytes are a message's own."""


def _sizes(found: Found, rows: NDArray[Any]) -> list[Any]:
    """Return the bytes of request and response, or of the event."""
    codes, scanned = found.code[rows], found.scanned
    sizes = np.zeros(len(rows), dtype=np.int64)  # a connection's own entry has no bytes
    is_told = codes <= MADE
    if scanned is not None:
        mine = codes >= 0
        sizes[mine] = message_bytes(scanned.found, scanned.found.exchanges[codes[mine]])
        for number, binding in enumerate(scanned.bindings):
            if binding.plugin in INTERLEAVING:
                is_told |= (codes >= scanned.bounds[number]) & (codes < scanned.bounds[number + 1])
    for place in np.flatnonzero(is_told).tolist():
        sizes[place] = found.resolve(int(rows[place])).total_size
    values: list[Any] = sizes.tolist()
    return values


def _cells(found: Found, rows: NDArray[Any]) -> list[Any]:
    """Return (method, status, summary)."""
    return [told[1:] for told in _summarized(found, rows)]


def _lines(found: Found, rows: NDArray[Any]) -> list[Any]:
    """Return (protocol, error, method, status, summary); an entry is looked at for its error alone."""
    wrong = found.read(rows, "error").values()
    lines = []
    for at, is_wrong, (abbr, *cells) in zip(rows.tolist(), wrong, _summarized(found, rows), strict=True):
        error = found.entry(at).error if is_wrong else None
        lines.append((abbr, error.message if error else "", *cells))
    return lines


SHOWN: Mapping[str, Callable[[Found, NDArray[Any]], list[Any]]] = {CELLS: _cells, LINE: _lines, SIZE: _sizes}


def _summarized(found: Found, rows: NDArray[Any]) -> list[tuple[Any, ...]]:
    """Return (protocol, method, status, summary) of rows."""
    told: list[Any] = [None] * len(rows)
    display = found.origin.display
    for group in by_protocol(found, rows):
        if (summary := display.columns_of(group.spec)) is not None:
            columns = summary.columns(group.read, len(group.places))
            abbr = group.spec.abbr
            for place, *cells in zip(group.places.tolist(), *columns, strict=True):
                told[place] = abbr, *cells
    for place, at in enumerate(rows.tolist()):
        if told[place] is None:
            entry = found.entry(at)
            said = display.cells(entry)
            told[place] = entry.protocol.abbr, said["method"], said["status"], said["summary"]
    return told
