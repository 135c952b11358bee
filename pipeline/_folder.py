"""A folder into which somebody writes captures, as tcpdump -G and -C do: each packet into the store once.

1. A file is known by its first packet, not by its name: renamed, compressed or followed anew, it is the same source,
   and goes on behind what the store has of it. One that is written over begins another.
2. Files are taken in the order in which they were last written. The newest is waited for; it is over when there is a
   newer one and it has not grown for SETTLE_S. One that grows after all is gone on with.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from kubeshark.core_capture import CaptureReader, RecordBatch
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.live import GrowingFile
from kubeshark.core_capture.store import SourceInfo, Store, Writer
from kubeshark.errors import InputError
from kubeshark.pipeline._imports import ImportResult, hooks_of

if TYPE_CHECKING:
    from kubeshark.pipeline._imports import Hooks
    from kubeshark.pipeline._plugins import Plugins

__all__ = ["FolderImport"]

LOOK_S = 0.2
SETTLE_S = 1.0
SEAL_S = 60.0  # packets that wait for their file to end are sealed after so long: then they can be queried
MIN_BYTES = 24  # a pcap header: less is a file that was just made
_RECORD_HEADER = 16

Mark = tuple[int, int, int, int]
"""Device, inode, size and time of the last write: whether a file changed."""


@dataclass(slots=True)
class _Totals:
    packets: int = 0
    bytes: int = 0
    flows: int = 0
    segments: int = 0
    skipped: int = 0
    dropped: int = 0
    problems: list[str] = field(default_factory=list)


class FolderImport:
    """Imports what lies in a folder and what comes into it, until `stop`."""

    def __init__(
        self,
        store: Store,
        recipients: list[str],
        folder: Path,
        *,
        plugins: Plugins | None = None,
        seal_s: float = SEAL_S,
        on_notice: Callable[[str], None] | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        """`recipients` without an identity in the store's reach: what it has already cannot be seen, StoreError."""
        if not folder.is_dir():
            raise InputError("is no folder", file=str(folder))
        self.store, self.recipients, self._folder = store, recipients, folder
        self._plugins, self.seal_s = plugins, seal_s
        self._on_notice, self.on_progress = on_notice, on_progress
        self.stopping = threading.Event()
        self._done: dict[Path, Mark] = {}
        self.totals = _Totals()

    def stop(self) -> None:
        """End soon: what was read is kept, and gone on with the next time."""
        self.stopping.set()

    def run(self) -> ImportResult:
        totals = self.totals
        hooks = hooks_of(self._plugins, self.store.location)
        with hooks:
            while not self.stopping.is_set():
                fresh = [path for path, mark in self._files() if self._done.get(path) != mark]
                if not fresh:
                    self.stopping.wait(LOOK_S)
                for path in fresh:
                    if self.stopping.is_set():
                        break
                    self._take(path, hooks)
        return ImportResult(
            totals.packets,
            totals.bytes,
            totals.flows,
            totals.segments,
            totals.skipped,
            (*totals.problems, *map(str, hooks.problems())),
            hooks.dropped,
        )

    def _files(self) -> list[tuple[Path, Mark]]:
        """Return the files that may be captures, the one written last at the end."""
        found: list[tuple[Path, Mark]] = []
        for entry in os.scandir(self._folder):
            try:
                status = entry.stat()
            except OSError:
                continue  # renamed since
            if stat.S_ISREG(status.st_mode) and status.st_size >= MIN_BYTES and not entry.name.startswith("."):
                mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
                found.append((Path(entry.path), mark))
        return sorted(found, key=lambda one: (one[1][3], one[0].name))

    def _take(self, path: Path, hooks: Hooks) -> None:
        """Read one file to its end."""
        job = _File(self, path, hooks)
        try:
            job.run()
        except InputError as error:
            self.say(str(error))
        except FileNotFoundError:
            return
        self._done[path] = job.mark

    def say(self, problem: str) -> None:
        if len(self.totals.problems) < 100:
            self.totals.problems.append(problem)
            if self._on_notice is not None:
                self._on_notice(problem)

    def is_newest(self, path: Path) -> bool:
        files = self._files()
        return not files or files[-1][0] == path


class _File:
    """One file of the folder on its way into the store."""

    def __init__(self, folder: FolderImport, path: Path, hooks: Hooks) -> None:
        self._folder, self._path, self._hooks = folder, path, hooks
        self._writer: Writer | None = None
        self._source: SourceInfo | None = None
        self._has_waiting = False
        self._opened = 0.0
        self._grown = time.monotonic()
        self.mark: Mark = (0, 0, 0, 0)

    def run(self) -> None:
        with GrowingFile(self._path, self._is_over) as file:
            self.mark = _mark(self._path)
            raw = cast(BinaryIO, file)
            with open_capture(raw, name=str(self._path), eager=True) as reader:
                try:
                    self._read(reader, iter(reader), file)
                    if not self._folder.stopping.is_set() and self._writer is not None:
                        self._writer.finish()
                finally:
                    self._close()
                if not self._folder.stopping.is_set():  # else it may be in the middle of a packet
                    for problem in reader.problems:
                        self._folder.say(f"{self._path}: {problem}")

    def _read(self, reader: CaptureReader, batches: Iterator[RecordBatch], file: GrowingFile) -> None:
        for batch in batches:
            self._grown = time.monotonic()
            self.mark = _mark(self._path)
            if self._source is None:
                digest = _digest(batch)
                self._source = SourceInfo(self._path.name, sha256=digest, metadata=reader.metadata)
                known = self._folder.store.import_state(digest)
                if known.complete and not self._folder.is_newest(self._path):
                    self._folder.totals.skipped += known.packets
                    return
            if self._writer is None:
                self._opened = time.monotonic()
                self._writer = self._folder.store.writer(self._folder.recipients, source=self._source)
            self._writer.add(self._hooks.apply(batch))
            self._has_waiting = True
            self._seal_if_due()
            if self._folder.on_progress is not None:
                self._folder.on_progress(self._folder.totals.bytes + file.position, None)

    def _is_over(self) -> bool:
        """Wait a little at the end of the file; say whether it is over."""
        self._seal_if_due()
        if self._folder.stopping.wait(LOOK_S):
            return True
        return time.monotonic() - self._grown >= SETTLE_S and not self._folder.is_newest(self._path)

    def _seal_if_due(self) -> None:
        if self._has_waiting and time.monotonic() - self._opened >= self._folder.seal_s:
            self._close()

    def _close(self) -> None:
        """Seal what waits, and count it."""
        writer, self._writer, self._has_waiting = self._writer, None, False
        if writer is None:
            return
        with writer:
            pass
        totals = self._folder.totals
        totals.skipped += writer.skipped
        for info in writer.sealed:
            self._hooks.tell(info)
            totals.packets += info.packets
            totals.bytes += info.captured_bytes
            totals.flows += info.flows
            totals.segments += info.packets > 0


def _digest(batch: RecordBatch) -> str:
    """Return what names a file: the hash of its first packet, with its time."""
    captured = int.from_bytes(batch.data[8:12], "little")
    first = batch.data[: _RECORD_HEADER + captured]
    return hashlib.sha256(b"kubeshark folder\0" + batch.link_type.to_bytes(4, "little") + first).hexdigest()


def _mark(path: Path) -> Mark:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
