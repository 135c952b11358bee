"""The files of one script: below its own folder, bounded, gone after a day; PCAPs are written when first needed.

Paths are resolved by the broker's `Folder`, which nothing leaves. A script cannot read what it wrote.
"""

from __future__ import annotations

import io
import os
import secrets
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kubeshark.hosts.broker import FileError, Folder
from kubeshark.pipeline.scripts._packets import MAX_PCAP_BYTES, merge_pcaps

__all__ = ["KEPT_S", "ScriptFiles"]

QUOTA_BYTES = 1 << 30
KEPT_S = 24 * 3600
MAX_READ = MAX_PCAP_BYTES + (1 << 20)
MAX_DEPTH = 8


class ScriptFiles:
    """Used by one thread at a time. FileError or ValueError says what cannot be done."""

    def __init__(
        self, root: Path, pcap: Callable[[Sequence[str]], bytes], now: Callable[[], float] = time.time
    ) -> None:
        """`pcap` makes a PCAP of streams."""
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root = root
        self._now = now
        self._pcap = pcap
        self._pending: dict[str, list[str]] = {}  # path → streams of a PCAP that nobody needed yet
        expire(root, now() - KEPT_S)
        self._folder = Folder(root, writable=True, quota_bytes=QUOTA_BYTES, counts_all=True)

    def close(self) -> None:
        self._folder.close()

    def promise(self, path: str, streams: Sequence[str]) -> str:
        """A PCAP of these streams will be there when a command needs it; return its path."""
        self._pending[path] = list(streams)
        return path

    def bytes_of(self, path: str) -> bytes:
        """Return a file, for helpers that send it."""
        path = _clean(path)
        self._need(path)
        return self._folder.read(path, MAX_READ)

    def exists(self, path: str) -> bool:
        """Say whether there is a file or folder."""
        try:
            return _clean(path) in self._pending or bool(self._kind(_clean(path)))
        except FileError:
            return False

    def write(self, path: str, text: str) -> None:
        path = _clean(path)
        self._pending.pop(path, None)
        self._folder.write(path, text.encode("utf-8", "replace"))

    def write_bytes(self, path: str, data: bytes) -> str:
        self._folder.write(_clean(path), data)
        return path

    def append(self, path: str, text: str) -> None:
        self._need(_clean(path))
        self._folder.write(_clean(path), text.encode("utf-8", "replace"), append=True)

    def copy(self, source: str, target: str) -> None:
        source = _clean(source)
        self._folder.write(self._target(source, target), self.bytes_of(source))

    def move(self, source: str, target: str) -> None:
        source = _clean(source)
        self._need(source)
        place = self._target(source, target)
        if self._kind(place) == "file":
            self._folder.delete(place)
        self._folder.move(source, place)

    def delete(self, path: str) -> None:
        path = _clean(path)
        if self._pending.pop(path, None) is not None and not self._kind(path):
            return
        self._folder.delete(path)

    def mkdir(self, path: str) -> None:
        self._folder.make_folder(_clean(path))

    def mkdir_temp(self, name: str = "", folder: str = "") -> str:
        path = self._fresh(name, folder, "")
        self._folder.make_folder(path)
        return path

    def temp(self, name: str = "", folder: str = "", extension: str = "txt") -> str:
        path = self._fresh(name, folder, f".{extension}" if extension else "")
        self._folder.write(path, b"")
        return path

    def tar(self, folder: str) -> str:
        """Pack a folder (or the file) as `kubeshark_<unix time>.tar.gz` in the script's folder."""
        folder = _clean(folder)
        for path in list(self._pending):
            if folder in ("", path) or path.startswith(f"{folder}/"):
                self._need(path)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            kind = self._kind(folder) if folder else "folder"
            if not kind:
                raise FileError(f"{folder}: there is no such file or folder")
            left = MAX_READ
            for path in [folder] if kind == "file" else self._walk(folder, MAX_DEPTH):
                data = self._folder.read(path, left)
                left -= len(data)
                info = tarfile.TarInfo(path[len(folder) + 1 :] if folder and kind == "folder" else path)
                info.size, info.mtime, info.mode = len(data), int(self._now()), 0o600
                archive.addfile(info, io.BytesIO(data))
        return self.write_bytes(self.stamped("kubeshark_", ".tar.gz"), packed.getvalue())

    def merge(self, folder: str) -> bytes:
        """Return one PCAP of those in a folder."""
        folder = _clean(folder)
        for path in list(self._pending):
            if path.startswith(f"{folder}/"):
                self._need(path)
        names = [row.name for row in self._folder.list(folder) if row.kind == "file" and row.name.endswith(".pcap")]
        return merge_pcaps([self._folder.read(f"{folder}/{name}", MAX_READ) for name in names])

    def stamped(self, before: str, behind: str) -> str:
        """Return a name with the time in it that is still free."""
        stamp = int(self._now())
        numbers = (f"{before}{stamp}{f'_{count}' if count else ''}{behind}" for count in range(10_000))
        return next(name for name in numbers if not self.exists(name))

    def _fresh(self, name: str, folder: str, behind: str) -> str:
        above = f"{_clean(folder)}/" if folder else ""
        return _clean(f"{above}{name}{secrets.token_hex(6)}{behind}")

    def _need(self, path: str) -> None:
        """Write a PCAP that was promised."""
        streams = self._pending.pop(path, None)
        if streams is not None:
            above = path.rpartition("/")[0]
            if above:
                self._folder.make_folder(above)
            self._folder.write(path, self._pcap(streams))

    def _target(self, source: str, target: str) -> str:
        """A folder keeps the file's name."""
        is_folder = target.endswith("/")
        clean = _clean(target)
        if not clean or is_folder or self._kind(clean) == "folder":
            return f"{clean}/{source.rpartition('/')[2]}".lstrip("/")
        return clean

    def _kind(self, path: str) -> str:
        """Return "file", "folder", or "" if there is nothing."""
        above, _, name = path.rpartition("/")
        try:
            rows = self._folder.list(above)
        except FileError:
            return ""
        return next((row.kind for row in rows if row.name == name), "")

    def _walk(self, folder: str, depth: int) -> list[str]:
        found = []
        for row in self._folder.list(folder):
            path = f"{folder}/{row.name}" if folder else row.name
            if row.kind == "file":
                found.append(path)
            elif row.kind == "folder" and depth:
                found += self._walk(path, depth - 1)
        return found


def _clean(path: object) -> str:
    """Return a relative path in one spelling; FileError for one that leads out."""
    if not isinstance(path, str) or len(path) > 1000 or "\0" in path or "\\" in path:
        raise FileError(f"{str(path)[:100]!r} is no path")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts:
        raise FileError(f"{path[:100]!r} leaves the script's folder")
    return "/".join(parts)


def expire(root: Path, before: float) -> None:
    """Delete files that are older, and the folders that are empty then; links are deleted, not followed."""
    for above, folders, files in os.walk(root, topdown=False, followlinks=False):
        for name in files:
            path = Path(above) / name
            if path.lstat().st_mtime < before:
                path.unlink(missing_ok=True)
        for name in folders:
            path = Path(above) / name
            if not path.is_symlink() and path.lstat().st_mtime < before and not any(path.iterdir()):
                path.rmdir()
