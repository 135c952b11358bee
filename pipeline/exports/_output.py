"""Where an export is written: whole or not at all, and never in the place of what is no file."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kubeshark.errors import UsageError

__all__ = ["Counting", "open_output"]

STDOUT = "-"


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
        if not target.parent.is_dir():
            raise UsageError(f"there is no folder {target.parent}", hint="make it first")
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
