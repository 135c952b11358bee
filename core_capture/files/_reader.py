"""What reading pcap and pcapng have in common: the life of the file, progress, and a window that slides over it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import BinaryIO, Generic, Self, TypeVar

from kubeshark.core_capture._records import Problem, RecordBatch, Room, SourceMetadata
from kubeshark.core_capture.files._stream import ByteStream
from kubeshark.errors import InputError

__all__ = ["MIN_READ", "FileReader", "Source"]

MIN_READ = 4096
"""Read at least this much at once, however small the batches: less makes long records quadratic."""


class Source:
    """An open file: its stream, and what must be closed at the end."""

    def __init__(
        self, stream: ByteStream, name: str, *, total: int | None = None, owned: BinaryIO | None = None
    ) -> None:
        self.stream = stream
        self.name = name
        self.total = total
        self._owned = owned

    def close(self) -> None:
        if self._owned is not None:
            self._owned.close()


Window = TypeVar("Window", bytes, bytes | memoryview)


class FileReader(ABC, Generic[Window]):
    """A CaptureReader over a Source; a subclass says how bytes become batches.

    The window `_data` starts at `_base` in the decompressed source. Its parsed front is cut off before more is read.
    """

    def __init__(self, source: Source, metadata: SourceMetadata, *, start: Window, base: int, batch_bytes: int) -> None:
        self.name = source.name
        self.metadata = metadata
        self.problems: list[Problem] = []
        self.bytes_read = source.stream.bytes_read
        self.bytes_total = source.total
        self.room: Room | None = None
        self._source = source
        self._read_bytes = max(batch_bytes, MIN_READ)
        self._data: Window = start
        self._base = base

    @abstractmethod
    def __iter__(self) -> Iterator[RecordBatch]:
        """Yield every packet once, in batches; ends early, with a problem, where the file is damaged."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def _slide(self, parsed: int, *, needed: int = 0) -> bool:
        """Drop `parsed` bytes, read on until a batch, or `needed` bytes, are there; False if nothing came."""
        kept = self._data[parsed:]
        self._base += parsed
        size = max(self._read_bytes, needed - len(kept))
        came = 0
        try:
            self._data, came = self._read_behind(kept, size)
        except InputError as error:
            self._data = kept
            self._report(error.message.removeprefix(f"{self.name}: "), len(kept))  # who tells it says whose it is
        self.bytes_read = self._source.stream.bytes_read
        return came > 0

    @abstractmethod
    def _read_behind(self, kept: Window, size: int) -> tuple[Window, int]:
        """Return `kept` with up to `size` bytes that were read behind it, and how many these are."""

    def _report(self, message: str, position: int) -> None:
        """Add a problem at `position` of the window."""
        self.problems.append(Problem(message, self._base + position))
