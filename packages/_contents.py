"""The files of a plugin: which they are, their hashes, and the one digest that names them all.

Invariants:

1. Links, special files and names that another system would read as something else are refused, whoever made them.
2. The digest is a SHA-256 over names and hashes. A folder, its package, what is installed of either, the lock file and
   an index all name a plugin by it: permissions are granted to it, and signatures are made over it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from kubeshark.errors import PluginRejected

__all__ = [
    "CHUNK",
    "MAX_BYTES",
    "MAX_FILES",
    "SUMS_NAME",
    "Names",
    "content_digest",
    "copy_bytes",
    "copy_files",
    "folder_files",
    "hash_file",
    "is_digest",
]

MAX_FILES = 2000
MAX_BYTES = 256 << 20  # a Go plugin with its sources has 4 MiB
MAX_NAME_BYTES = 1024
MAX_DEPTH = 32
CHUNK = 1 << 20
LEFT_OUT = ("__pycache__", "node_modules")  # like .git: no part of a plugin
SUMS_NAME = "SHA256SUMS"  # the first member of a package

_DIGEST = re.compile(r"[0-9a-f]{64}")
# Windows' and macOS' readings of a name are refused too: a package must mean the same wherever it is looked at.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def is_digest(text: str) -> bool:
    """Say whether this is a SHA-256 in hexadecimal, without `sha256:`."""
    return _DIGEST.fullmatch(text) is not None


class Names:
    """Checks names one after another: each by itself, and that no two can become one file."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self._files: set[str] = set()  # folded: as a file system sees them that ignores case
        self._folders: set[str] = set()

    def check(self, name: str) -> None:
        """Raise PluginRejected with the reason; `name` is a relative path with slashes."""
        parts = name.split("/")
        if reason := self._reason(name, parts):
            raise self._refuse(name, reason)
        folded = _folded(name)
        above = {"/".join(folded.split("/")[:depth]) for depth in range(1, len(parts))}
        if folded in self._files:
            raise self._refuse(name, "is there twice, or differs from another name in case only")
        if folded in self._folders or above & self._files:
            raise self._refuse(name, "is a file and a folder")
        self._files.add(folded)
        self._folders |= above
        if len(self._files) > MAX_FILES:
            raise PluginRejected(f"has more than {MAX_FILES:,} files", plugin=self.plugin)

    def _reason(self, name: str, parts: list[str]) -> str:
        if not name or len(name.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES or len(parts) > MAX_DEPTH:
            return "is empty, too long or too deep"
        if "\\" in name or ":" in name or not name.isprintable():
            return "has a character that a name cannot have"
        if unicodedata.normalize("NFC", name) != name:
            return "is not in Unicode's form NFC"
        for part in parts:
            if part in ("", ".", ".."):
                return "leaves the plugin's folder"
            if part.startswith(".") or part in LEFT_OUT:
                return "is one that a plugin does not have: it is hidden, or of a tool"
            if part[-1] in " ." or _DEVICES.fullmatch(part):
                return "is a name that not every system can have"
        return "is kept for the hashes of a package" if _folded(name) == SUMS_NAME.lower() else ""

    def _refuse(self, name: str, reason: str) -> PluginRejected:
        return PluginRejected(f"the name {name[:200]!r} {reason}", plugin=self.plugin, hint="rename or remove it")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def folder_files(folder: Path, plugin: str) -> list[str]:
    """Return the relative POSIX paths of all files, in the order of a package; refuse links and special files."""
    found: list[str] = []
    folders = [folder]
    for place in folders:  # grows while we go: no recursion over what somebody else made
        for path in place.iterdir():
            name = path.relative_to(folder).as_posix()
            if path.name.startswith(".") or path.name in LEFT_OUT:
                continue
            if path.is_symlink():
                raise PluginRejected(f"{name} is a link", plugin=plugin, hint="put the file itself there")
            if path.is_dir():
                folders.append(path)
            elif path.is_file():
                found.append(name)
            else:
                raise PluginRejected(f"{name} is neither file nor folder", plugin=plugin)
            if len(found) + len(folders) > MAX_FILES:
                raise PluginRejected(f"has more than {MAX_FILES:,} files", plugin=plugin)
    names = Names(plugin)
    for name in sorted(found):
        names.check(name)
    return sorted(found)


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(files: Mapping[str, str]) -> str:
    """Return one SHA-256 over names and hashes."""
    return hashlib.sha256("".join(f"{name}\0{files[name]}\n" for name in sorted(files)).encode()).hexdigest()


def copy_bytes(reader: BinaryIO, writer: BinaryIO, limit: int, plugin: str) -> tuple[str, int]:
    """Copy to the end; return SHA-256 and length of what was written. PluginRejected beyond `limit` bytes."""
    digest = hashlib.sha256()
    length = 0
    while chunk := reader.read(CHUNK):
        length += len(chunk)
        if length > limit:
            raise PluginRejected(f"has more than {MAX_BYTES >> 20} MiB", plugin=plugin)
        digest.update(chunk)
        writer.write(chunk)
    return digest.hexdigest(), length


def copy_files(source: Path, target: Path, plugin: str) -> dict[str, str]:
    """Copy what `folder_files` allows and return a SHA-256 per file, of the bytes that were written."""
    hashes = {}
    left = MAX_BYTES
    for name in folder_files(source, plugin):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(source / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as reader, (target / name).open("xb") as writer:  # noqa: PTH123 (a descriptor)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise PluginRejected(f"{name} is neither file nor folder", plugin=plugin)
            hashes[name], length = copy_bytes(reader, writer, left, plugin)
            left -= length
    return hashes
