"""Captures that somebody writes into a folder, as tcpdump -G and -C do, or into one file: each packet once.

1. A file is known by its first packet, not by its name: renamed, compressed or followed anew, it is the same source,
   and goes on behind what the store has of it. One that is written over begins another.
2. Files are taken in the order in which they were last written. What is being written goes through the log, as a live
   capture does: half a second after it was written it survives and is shown. What was written long ago is sealed at
   once.
3. The newest is waited for; it is over when there is a newer one and it has not grown for SETTLE_S. One that grows
   after all is gone on with. Of several that grow at once each has TURN_S.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from msgspec import Struct, field

from kubeshark.core_capture import CaptureReader, RecordBatch
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.live import FileState, GrowingFile
from kubeshark.core_capture.store import LiveWriter, SegmentInfo, SourceInfo, Store, Writer
from kubeshark.errors import InputError
from kubeshark.pipeline.intake._hooks import hooks_of
from kubeshark.pipeline.intake._imports import ImportResult

if TYPE_CHECKING:
    from kubeshark.pipeline.intake._hooks import Hooks
    from kubeshark.pipeline.plugins._manager import Plugins

__all__ = ["FolderImport"]

LOOK_S = 0.2
SETTLE_S = 1.0
TURN_S = 5.0
IDLE_S = 60.0  # then what waits is sealed, and others may write
RECENT_S = 10.0  # what was written before is not being written
SEAL_S = 300.0
AFAR_S = 60.0  # on object storage: the log lies on this machine, others see what is sealed
MIN_BYTES = 24  # a pcap header: less is a file that was just made
MAX_PROBLEMS = 100
_RECORD_HEADER = 16
_ROTATED = r"(\.?\d+)?(\.gz|\.zst)?"
"""What a rotation puts behind a name: tcpdump -C and -W a number, logrotate a dot and one, and how it compressed."""

_Id = tuple[int, int]
"""Device and inode: which file it is, whatever it is called."""


class _Totals(Struct):
    packets: int = 0
    bytes: int = 0
    flows: int = 0
    segments: int = 0
    skipped: int = 0
    problems: list[str] = field(default_factory=list)


class FolderImport:
    """Imports what lies in a folder and what comes into it, until `stop`; or one file and what it is rotated into."""

    def __init__(
        self,
        store: Store,
        recipients: list[str],
        place: Path,
        *,
        plugins: Plugins | None = None,
        on_notice: Callable[[str], None] | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        """Take a folder or a file; InputError if there is neither.

        `recipients` without an identity in the store's reach: what it has already cannot be seen, StoreError.
        """
        self.store, self.recipients = store, recipients
        self._folder, self._wanted = _wanted(place)
        self._plugins = plugins
        self._on_notice, self.on_progress = on_notice, on_progress
        self.stopping = threading.Event()
        self._done: dict[_Id, FileState] = {}
        self._strange: set[_Id] = set()  # no captures: whoever writes them is not waited for
        self.totals = _Totals()

    def stop(self) -> None:
        """End soon: what was read is kept, and gone on with the next time."""
        self.stopping.set()

    def run(self) -> ImportResult:
        totals = self.totals
        hooks = hooks_of(self._plugins, self.store.location)
        with hooks:
            while not self.stopping.is_set():
                files = self._files()
                self._forget({_id(state) for _, state in files})
                fresh = [each for each in files if self._is_fresh(each[1])]
                if not fresh:
                    self.stopping.wait(LOOK_S)
                for path, state in fresh:
                    if self.stopping.is_set():
                        break
                    self._take(path, state, hooks)
        return ImportResult(
            totals.packets,
            totals.bytes,
            totals.flows,
            totals.segments,
            totals.skipped,
            (*totals.problems, *map(str, hooks.problems())),
            hooks.dropped,
        )

    def _files(self) -> list[tuple[Path, FileState]]:
        """Return the files that may be captures, the one written last at the end."""
        found: list[tuple[Path, FileState]] = []
        try:
            entries = list(os.scandir(self._folder))
        except OSError as error:
            raise InputError(f"cannot be listed: {error.strerror}", file=str(self._folder)) from error
        for entry in entries:
            try:
                status = entry.stat()
            except OSError:
                continue  # renamed since
            is_one = stat.S_ISREG(status.st_mode) and status.st_size >= MIN_BYTES
            if is_one and self._wanted.fullmatch(entry.name):
                found.append((Path(entry.path), FileState.of(status)))
        return sorted(found, key=lambda one: (one[1].modified_ns, one[0].name))

    def _is_fresh(self, state: FileState) -> bool:
        return self._done.get(_id(state)) != state

    def _forget(self, there: set[_Id]) -> None:
        self._done = {key: state for key, state in self._done.items() if key in there}
        self._strange &= there

    def _take(self, path: Path, state: FileState, hooks: Hooks) -> None:
        """Read one file to its end."""
        job = _File(self, path, hooks)
        try:
            job.run()
            self._strange.discard(_id(state))
        except FileNotFoundError:
            return  # renamed since
        except (InputError, OSError) as error:
            if self.stopping.is_set():
                return  # in the middle of its beginning
            self.say(str(error) if isinstance(error, InputError) else f"{path}: cannot be read: {error.strerror}")
            self._strange.add(_id(state))
            self._done[_id(state)] = state
        if job.state is not None:
            self._done[_id(job.state)] = job.state

    def say(self, problem: str) -> None:
        if len(self.totals.problems) < MAX_PROBLEMS and problem not in self.totals.problems:
            self.totals.problems.append(problem)
            if self._on_notice is not None:
                self._on_notice(problem)

    def is_newest(self, state: FileState) -> bool:
        """Say whether no other file was written later; one that was deleted may still be written."""
        captures = [_id(each) for _, each in self._files() if _id(each) not in self._strange]
        return not captures or captures[-1] == _id(state)

    def is_awaited(self, state: FileState) -> bool:
        """Say whether another file has something new."""
        strange = {*self._strange, _id(state)}
        return any(self._is_fresh(each) and _id(each) not in strange for _, each in self._files())


class _File:
    """One file on its way into the store."""

    def __init__(self, folder: FolderImport, path: Path, hooks: Hooks) -> None:
        self._folder, self._path, self._hooks = folder, path, hooks
        self._writer: Writer | LiveWriter | None = None
        self._source: SourceInfo | None = None
        self._sealed: list[SegmentInfo] = []
        self._began = self._grown = time.monotonic()
        self._position = 0  # of the file, when it had grown last
        self._gives_way = False
        self._trouble = ""
        self.state: FileState | None = None  # up to which it was read; None if it has to be looked at again

    def run(self) -> None:
        with GrowingFile(self._path, self._is_over) as self._file:
            self._first = first = self._file.state
            self._is_live = self._folder.is_newest(first) or time.time() - first.modified_ns / 1e9 < RECENT_S
            raw = cast(BinaryIO, self._file)
            with open_capture(raw, name=str(self._path), eager=True) as reader:
                try:
                    self._read(reader, iter(reader))
                    self._end(reader)
                finally:
                    self._close()
            self.state = None if self._file.begins_anew else self.state or self._file.state

    def _read(self, reader: CaptureReader, batches: Iterator[RecordBatch]) -> None:
        folder = self._folder
        for batch in batches:
            if self._source is None:
                digest = _digest(batch)
                self._source = SourceInfo(self._path.name, sha256=digest, metadata=reader.metadata)
                known = folder.store.import_state(digest)
                is_whole = known.complete and known.size >= self._first.size  # it may have been compressed since
                if is_whole and not folder.is_newest(self._first):
                    folder.totals.skipped += known.packets
                    self.state = self._first
                    return
            if not self._add(self._source, batch):
                return
            if folder.on_progress is not None:
                folder.on_progress(folder.totals.bytes + self._file.position, None)

    def _add(self, source: SourceInfo, batch: RecordBatch) -> bool:
        """Store a batch; False if there was no room for it before somebody stopped us."""
        folder = self._folder
        if self._writer is None:
            self._writer = self._open(source)
        kept = self._hooks.apply(batch)
        while isinstance(self._writer, LiveWriter) and not self._writer.wait_for_room(len(kept.data), LOOK_S):
            if folder.stopping.is_set():
                return False
            self._tick()
        self._writer.add(kept)
        self._tick()
        return True

    def _open(self, source: SourceInfo) -> Writer | LiveWriter:
        store, recipients = self._folder.store, self._folder.recipients
        if not self._is_live:
            return store.writer(recipients, source=source)
        seconds = AFAR_S if store.files.is_remote else SEAL_S
        return store.live_writer(recipients, source=source, segment_seconds=seconds, on_sealed=self._sealed.append)

    def _tick(self) -> None:
        if isinstance(self._writer, LiveWriter):
            self._writer.tick()
            trouble, self._trouble = self._trouble, self._writer.problem
            if self._trouble and self._trouble != trouble:
                self._folder.say(self._trouble)

    def _is_over(self) -> bool:
        """Wait a little at the end of the file; say whether it is over, or others have their turn."""
        folder, file = self._folder, self._file
        self._tick()
        if file.position != self._position:
            self._position, self._grown = file.position, time.monotonic()
        if folder.stopping.wait(LOOK_S):
            return True
        now = time.monotonic()
        is_quiet = now - self._grown >= SETTLE_S
        if is_quiet and not folder.is_newest(file.state):
            return True
        if now - self._grown >= IDLE_S:
            self._close()
        turned_out_live = not self._is_live and not is_quiet and file.state.modified_ns != self._first.modified_ns
        self._gives_way = turned_out_live or (now - self._began >= TURN_S and folder.is_awaited(file.state))
        return self._gives_way

    def _end(self, reader: CaptureReader) -> None:
        """Note that the file is complete, unless it is left in the middle: of a packet, maybe."""
        if self._gives_way or self._folder.stopping.is_set():
            return
        if self._writer is None and self._source is not None and self.state is None:
            self._writer = self._open(self._source)  # it was sealed when it was quiet for long
        if self._writer is not None:
            self._writer.finish(self._file.position)
        for problem in reader.problems:
            self._folder.say(f"{self._path}: {problem}")

    def _close(self) -> None:
        """Seal what waits, and count it."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        with writer:
            pass
        totals = self._folder.totals
        totals.skipped += writer.skipped
        sealed, self._sealed = (self._sealed if isinstance(writer, LiveWriter) else writer.sealed), []
        for info in sealed:
            self._hooks.tell(info)
            totals.packets += info.packets
            totals.bytes += info.captured_bytes
            totals.flows += info.flows
            totals.segments += info.packets > 0


def _wanted(place: Path) -> tuple[Path, re.Pattern[str]]:
    """Return the folder, and what names files in it have; raise InputError."""
    if place.is_dir():
        return place, re.compile(r"[^.].*", re.DOTALL)
    name = re.compile(re.escape(place.name) + _ROTATED, re.DOTALL)
    try:
        found = [entry for entry in os.scandir(place.parent) if entry.is_file() and name.fullmatch(entry.name)]
    except OSError:
        found = []
    if not found:
        raise InputError("there is no such folder or file", file=str(place))
    return place.parent, name


def _id(state: FileState) -> _Id:
    return state.device, state.inode


def _digest(batch: RecordBatch) -> str:
    """Return what names a file: the hash of its first packet, with its time."""
    captured = int.from_bytes(batch.data[8:12], "little")
    first = batch.data[: _RECORD_HEADER + captured]
    return hashlib.sha256(b"kubeshark folder\0" + batch.link_type.to_bytes(4, "little") + first).hexdigest()
