"""Exports: which flows of each segment go out, and where to.

An expression that the index answers alone selects by predicate; anything else by the entries that a query found.
"""

from __future__ import annotations

import os
import stat
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import NO_FLOW, Carrier, Predicate
from kubeshark.core_capture.store import SegmentReader
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.pipeline.entries._entry import Entry

__all__ = ["Chosen", "Counting", "Matching", "open_output"]

STDOUT = "-"


class Matching:
    """Selects the flows that a predicate lets through, and those that run inside them."""

    def __init__(self, predicate: Predicate) -> None:
        self._predicate = predicate

    def __call__(self, segment: SegmentReader) -> NDArray[np.bool_]:
        return _with_carried(segment.choose(self._predicate), segment)


class Chosen:
    """Selects the flows of a query's entries, whole connections, and those that run inside them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._rows: defaultdict[str, set[int]] = defaultdict(set)
        for entry in entries:
            for segment, row in entry.facts.parts:
                self._rows[segment.name].add(row)

    def __call__(self, segment: SegmentReader) -> NDArray[np.bool_]:
        chosen = np.isin(np.arange(len(segment.flows)), list(self._rows.get(segment.name, ())))
        return _with_carried(segment.in_cluster_order(chosen), segment)


def _with_carried(chosen: NDArray[np.bool_], segment: SegmentReader) -> NDArray[np.bool_]:
    """Add the flows inside chosen tunnels: a tunnel's outer flow has no packets of its own."""
    if not segment.has_carriers or not (chosen & segment.choose(Carrier())).any():
        return chosen
    rows, carrier = segment.by_row(chosen), segment.flows["carrier"]
    inside = carrier != NO_FLOW
    while True:  # once for each level of tunnels
        added = rows.copy()
        added[inside] |= rows[carrier[inside]]
        if (added == rows).all():
            return segment.in_cluster_order(rows)
        rows = added


@contextmanager
def open_output(out: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    """Open where to write; a file appears under its name only when it is whole.

    What is there and no file (a device, a pipe) is written to, a link is followed, and a file that is replaced leaves
    its mode. UsageError for what names no file.
    """
    if not isinstance(out, str | Path):
        yield out
    elif str(out) == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        target = Path(os.path.realpath(out))
        if not str(out) or str(out).endswith(os.sep) or target.is_dir():
            raise UsageError(f"{str(out)!r} names no file", hint="write FILE.pcap, or - for standard output")
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                yield stream
        else:
            yield from _whole_file(target)


def _whole_file(target: Path) -> Iterator[BinaryIO]:
    unfinished = target.with_name(f".{target.name}.part")
    try:
        with unfinished.open("wb") as file:
            with suppress(FileNotFoundError):
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield file
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


class Counting:
    """A binary stream that counts what is written through it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.written = 0

    def write(self, data: bytes) -> int:
        self.written += len(data)
        return self._raw.write(data)

    def flush(self) -> None:
        self._raw.flush()
