"""Imports: a capture file into the store, once, however often it is asked for."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct

from kubeshark.core_capture import RecordBatch, SourceMetadata
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.store import ImportState, SourceInfo, Store
from kubeshark.errors import InputError, StoreError
from kubeshark.pipeline.dissection._secrets import read_key_log, secrets_block
from kubeshark.pipeline.intake._hooks import hooks_of
from kubeshark.pipeline.plugins._entry_points import python_plugins
from kubeshark.pipeline.plugins._state import plugins_folder
from kubeshark.pipeline.tls import KeyLog

if TYPE_CHECKING:
    from kubeshark.core_capture import RecordBatch
    from kubeshark.pipeline.plugins._manager import Plugins

__all__ = ["Import", "ImportResult", "Progress", "plugins_with_import_hooks"]

Progress = Callable[[int, int | None], None]
STDIN = "-"
HASHED_BYTES = 256 << 10  # at once: 32 KiB to 1 MiB take the same time
IMPORT_HOOKS = frozenset({"packet_filter", "segment_sealed"})


class ImportResult(Struct, frozen=True):
    """What an import added; `skipped` counts packets that the store had already."""

    packets: int
    bytes: int  # captured
    flows: int
    segments: int
    skipped: int
    problems: tuple[str, ...]  # what of the file could not be read, and what plugins did wrong
    dropped: int = 0  # packets that plugins' packet filters kept out
    replaced: int = 0  # packets that `recover` had saved of an import of the same file, and which this one has again
    namesakes: tuple[str, ...] = ()  # SHA-256 of captures that were there before, by the same name with other contents

    @property
    def already_there(self) -> bool:
        return self.skipped > 0 and self.packets == 0


class Import:
    """Imports into one store for `recipients`; `may_only_write`: there may be no identity to see what is there."""

    def __init__(
        self, store: Store, recipients: list[str], *, may_only_write: bool, plugins: Callable[[], Plugins] | None = None
    ) -> None:
        """`plugins` loads the plugins: called only if one of them has to do with imports."""
        self._store = store
        self._plugins = plugins_with_import_hooks(plugins) if plugins else None
        self._recipients = recipients
        self._may_only_write = may_only_write

    def run(
        self,
        file: str | Path | BinaryIO,
        keylogs: Iterable[str | Path],
        on_progress: Progress | None,
        name: str = "",
        on_batch: Callable[[RecordBatch], None] | None = None,
    ) -> ImportResult:
        """See `Pipeline.import_file`."""
        path = Path(file) if isinstance(file, str | Path) and str(file) != STDIN else None
        name = name or (str(file) if isinstance(file, str | Path) else "capture")
        keys = [(Path(keylog), read_key_log(Path(keylog))) for keylog in keylogs]
        for keylog, text in keys:
            if not KeyLog.parse(text):
                raise InputError("no TLS secrets in it", file=str(keylog), hint="a key log is what SSLKEYLOGFILE names")
        if file == STDIN and not keys and _is_pipe():
            return self._from_pipe(on_progress, on_batch)
        digest, size = _hash(path, on_progress) if path is not None and path.is_file() else ("", -1)
        hashed = max(size, 0)  # bytes that were read once already
        state = self._state(digest) if digest else None
        if state is None:
            digest = ""
        elif state.complete and not state.came_again():
            self._add_keys(keys)
            return ImportResult(0, 0, 0, 0, state.packets, ())
        namesakes = self._namesakes(Path(name).name, digest) if digest else ()
        hooks = hooks_of(self._plugins, self._store.location)
        with open_capture(path or file, name=name) as reader, hooks:
            source = SourceInfo(Path(name).name, sha256=digest, size=size, metadata=reader.metadata)
            with self._store.writer(self._recipients, source=source) as writer:
                if on_batch is None and not hooks.filters_packets:  # which may keep what they are given
                    reader.room = writer.room
                known = 0
                for batch in reader:
                    kept = hooks.apply(batch)
                    writer.add(kept)
                    if on_batch:
                        on_batch(kept)
                    for info in writer.sealed[known:]:
                        hooks.tell(info)
                    known = len(writer.sealed)
                    if on_progress:
                        total = reader.bytes_total
                        on_progress(hashed + reader.bytes_read, None if total is None else hashed + total)
                # last, so that an import that is continued counts the same blocks; an export puts them first
                reader.metadata.blocks += [secrets_block(text) for _, text in keys]
                writer.finish()
            for info in writer.sealed[known:]:
                hooks.tell(info)
        sealed = [info for info in writer.sealed if info.packets]
        return ImportResult(
            packets=sum(info.packets for info in sealed),
            bytes=sum(info.captured_bytes for info in sealed),
            flows=sum(info.flows for info in sealed),
            segments=len(sealed),
            skipped=writer.skipped,
            problems=tuple(map(str, (*reader.problems, *hooks.problems()))),
            dropped=hooks.dropped,
            replaced=sum(info.packets for info in writer.replaced),
            namesakes=namesakes,
        )

    def _from_pipe(self, on_progress: Progress | None, on_batch: Callable[[RecordBatch], None] | None) -> ImportResult:
        """Import what comes over standard input as it comes: it may be a capture that is still being made."""
        from kubeshark.core_capture.live import standard_input
        from kubeshark.pipeline.intake._capture import Capture, CaptureLimits

        with standard_input() as source:
            done = Capture(
                self._store,
                self._recipients,
                source,
                limits=CaptureLimits(),
                plugins=self._plugins,
                on_progress=None if on_progress is None else lambda now: on_progress(now.bytes, None),
                on_batch=on_batch,
            ).run()
        return ImportResult(done.stored, done.bytes, done.flows, done.segments, 0, done.problems, done.filtered)

    def _add_keys(self, keys: Iterable[tuple[Path, bytes]]) -> None:
        """Store key logs as sources of their own: the capture they belong to is there already."""
        for path, text in keys:
            metadata = SourceMetadata("pcapng", blocks=[secrets_block(text)])
            digest = hashlib.sha256(text).hexdigest()
            if not self._store.import_state(digest).complete:
                source = SourceInfo(path.name, sha256=digest, size=len(text), metadata=metadata)
                with self._store.writer(self._recipients, source=source) as writer:
                    writer.finish()

    def _namesakes(self, name: str, digest: str) -> tuple[str, ...]:
        """Return which other files were imported by this name: a file that grew since has its first packets there."""
        sources = [info.source for info in self._store.segments()]
        found = (each.sha256 for each in sources if each.name == name and each.sha256 not in ("", digest))
        return tuple(dict.fromkeys(found))

    def _state(self, digest: str) -> ImportState | None:
        """Return how much of a source is here; None for who may only write."""
        try:
            return self._store.import_state(digest)
        except StoreError:
            if not self._may_only_write:
                raise
            return None


def plugins_with_import_hooks(load: Callable[[], Plugins]) -> Plugins | None:
    """Load the plugins if one of them has to do with packets on their way into a store."""
    return None if IMPORT_HOOKS.isdisjoint(installed_hooks()) else load()


def installed_hooks() -> frozenset[str]:
    """Return the hooks that installed plugins say they have, without loading one; for Python packages, all."""
    if python_plugins():
        return IMPORT_HOOKS
    if not plugins_folder().is_dir():
        return frozenset()
    from kubeshark.pipeline.plugins._installed import installed_plugins

    return frozenset(hook for plugin in installed_plugins() if not plugin.state.disabled for hook in plugin.hooks)


def _is_pipe() -> bool:
    """Say whether standard input may still be written."""
    try:
        mode = os.fstat(sys.stdin.buffer.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # closed, or something else in its place
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _hash(path: Path, on_progress: Progress | None) -> tuple[str, int]:
    """Return a file's SHA-256 and size. It is read here and then again: progress counts both."""
    digest, done, piece = hashlib.sha256(), 0, memoryview(bytearray(HASHED_BYTES))
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            while count := file.readinto(piece):
                digest.update(piece[:count])
                done += count
                if on_progress:
                    on_progress(done, 2 * size)
        return digest.hexdigest(), size
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path)) from error
