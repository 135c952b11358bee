"""Opens a capture file of any known kind."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from kubeshark.core_capture._records import CaptureReader
from kubeshark.core_capture.files._pcap import MAGICS, open_pcap
from kubeshark.core_capture.files._pcapng import SECTION_MAGIC, open_pcapng
from kubeshark.core_capture.files._reader import Source
from kubeshark.core_capture.files._stream import open_stream, read_exactly
from kubeshark.errors import InputError, Malformed, Truncated

__all__ = ["CAPTURE_MAGICS", "open_capture"]

MAGIC_BYTES = 4
CAPTURE_MAGICS = frozenset({*MAGICS, SECTION_MAGIC})
"""What capture files begin with that are not compressed."""
CONVERT = "convert other capture formats with editcap IN OUT.pcapng"


def open_capture(
    source: str | Path | BinaryIO, *, name: str = "", batch_bytes: int = 1 << 20, eager: bool = False
) -> CaptureReader:
    """Open a pcap or pcapng file, plain or inside gzip or zstd; "-" is standard input.

    `name` is how messages call it, by default the path. Raise InputError if it cannot be opened, Truncated if it is
    empty or ends inside its header, Malformed if it is something else. Once packets flow nothing is raised for what the
    file contains: read `problems`. An open file that was handed in is not closed.
    With `eager`, for an open file with `read1`, packets are given out as they come.
    """
    if isinstance(source, str | Path) and source != "-":
        return _open_path(Path(source), name or str(source), batch_bytes)
    raw = sys.stdin.buffer if isinstance(source, str | Path) else source
    stream_name = name or ("standard input" if source == "-" else getattr(source, "name", "") or "capture")
    return _detect(Source(open_stream(raw, str(stream_name), eager=eager), str(stream_name)), batch_bytes)


def _open_path(path: Path, name: str, batch_bytes: int) -> CaptureReader:
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"cannot be opened: {error.strerror}", file=name) from error
    except ValueError as error:  # a NUL in the path
        raise InputError(f"cannot be opened: {error}", file=name) from error
    try:
        status = os.fstat(file.fileno())
        total = status.st_size if stat.S_ISREG(status.st_mode) else None
        return _detect(Source(open_stream(file, name), name, total=total, owned=file), batch_bytes)
    except InputError:
        file.close()
        raise


def _detect(source: Source, batch_bytes: int) -> CaptureReader:
    magic = read_exactly(source.stream, MAGIC_BYTES)
    if not magic:
        raise Truncated("is empty", file=source.name)
    if magic in MAGICS:
        return open_pcap(source, MAGICS[magic], magic, batch_bytes)
    if magic == SECTION_MAGIC:
        return open_pcapng(source, magic, batch_bytes)
    if len(magic) < MAGIC_BYTES:
        raise Truncated("ends before it shows what it is", file=source.name, offset=len(magic))
    raise Malformed("is neither pcap nor pcapng", file=source.name, hint=CONVERT)
