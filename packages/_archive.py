"""`.ksp`: a plugin in one file. A zip archive that every zip program reads, and that can be written in one way only.

    SHA256SUMS          first; a line a file, as `sha256sum` writes and checks them
    lib/help.js         the files, sorted by name, stored (never compressed)
    plugin.toml

Invariants:

1. The same files give the same bytes, on every machine: no times, no owners, no compression (zlib's output differs
   between its versions), so a digest of the files is a digest of the package.
2. What is read was written so. The reader goes through the local headers in order and makes the rest of the archive,
   directory and end record, itself: any other byte is refused. So there are no links, devices, modes, encrypted or
   compressed members, sizes that lie, second entries behind the first, comments, or data after the end.
3. A member takes as many bytes here as it does there: no archive is a bomb.

`zipfile` is not used to read: it believes the directory at the end, skips what lies before, between and behind, and
so sees other files than a program that reads from the start.
"""

from __future__ import annotations

import hashlib
import stat
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from kubeshark.errors import PluginRejected
from kubeshark.packages._contents import CHUNK, MAX_BYTES, SUMS_NAME, Names, content_digest, folder_files, hash_file

__all__ = ["MAX_PACKAGE_BYTES", "is_package", "pack", "unpack"]

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCAL_MAGIC, _CENTRAL_MAGIC, _END_MAGIC = b"PK\3\4", b"PK\1\2", b"PK\5\6"
_VERSION = 20
_UTF8 = 0x800  # the only flag
_ENCRYPTED, _STREAMED = 0x1, 0x8
_DATE, _TIME = (1 << 5) | 1, 0  # 1980-01-01, the first that a zip can tell
_UNIX = 3 << 8
_MODE = (stat.S_IFREG | 0o644) << 16
MAX_SUMS_BYTES = 4 << 20  # 2,000 names
MAX_PACKAGE_BYTES = MAX_BYTES + 2 * MAX_SUMS_BYTES + (1 << 20)


def is_package(path: Path) -> bool:
    """Say whether a file begins as a zip does."""
    with path.open("rb") as file:
        return file.read(4) == _LOCAL_MAGIC


def pack(folder: Path, target: Path, plugin: str) -> str:
    """Write the package of a folder to `target`; return the digest of its contents, in hexadecimal."""
    names = folder_files(folder, plugin)
    files = {name: hash_file(folder / name) for name in names}
    sums = _sums(files)
    central = bytearray()
    offset = total = 0
    with target.open("wb") as out:
        for name in (SUMS_NAME, *names):
            if name == SUMS_NAME:
                crc, size = zlib.crc32(sums), len(sums)
            else:
                crc, size, found = _measure(folder / name)
                if found != files[name]:
                    raise PluginRejected(f"{name} changed while it was packed", plugin=plugin, hint="pack it again")
                total += size
            if total > MAX_BYTES:
                raise PluginRejected(f"has more than {MAX_BYTES >> 20} MiB", plugin=plugin)
            header = _local(name, crc, size)
            out.write(header)
            if name == SUMS_NAME:
                out.write(sums)
            else:
                with (folder / name).open("rb") as file:
                    while chunk := file.read(CHUNK):
                        out.write(chunk)
            central += _directory(name, crc, size, offset)
            offset += len(header) + size
        out.write(central + _end(len(names) + 1, len(central), offset))
    with target.open("rb") as written:  # what was written is what is read, or it is not handed out
        _read(written, None, plugin)
    return content_digest(files)


def unpack(package: Path, folder: Path, plugin: str = "?") -> dict[str, str]:
    """Write the files of a package below the empty `folder`; return their SHA-256. PluginRejected says why not."""
    with package.open("rb") as file:
        return _read(file, folder, plugin)


def _read(file: BinaryIO, folder: Path | None, plugin: str) -> dict[str, str]:
    """Check a package from its first byte to its last; write its files if `folder` is given."""
    names = Names(plugin)
    files: dict[str, str] = {}
    central = bytearray()
    sums = b""
    before = ""
    offset = total = count = 0
    while (magic := _take(file, 4, plugin)) == _LOCAL_MAGIC:
        name, crc, size = _header(file, plugin)
        if (name == SUMS_NAME) != (count == 0):
            raise _refuse(f"the first member, and no other, is {SUMS_NAME}", plugin)
        count += 1
        central += _directory(name, crc, size, offset)
        offset += _LOCAL.size + len(name.encode()) + size
        if name == SUMS_NAME:
            if size > MAX_SUMS_BYTES:
                raise _refuse(f"{SUMS_NAME} is larger than {MAX_SUMS_BYTES >> 20} MiB", plugin)
            sums = _take(file, size, plugin)
            if zlib.crc32(sums) != crc:
                raise _refuse(f"the checksum of {SUMS_NAME} is wrong", plugin)
            continue
        names.check(name)
        if name <= before:
            raise _refuse(f"{name!r} is out of order", plugin)
        before = name
        total += size
        if total > MAX_BYTES:
            raise PluginRejected(f"has more than {MAX_BYTES >> 20} MiB", plugin=plugin)
        files[name] = _member(file, folder, name, crc, size, plugin)
    if count == 0:
        raise _refuse("it does not begin with a file", plugin)
    expected = bytes(central) + _end(count, len(central), offset)
    rest = magic + file.read(len(expected) - 3)  # a byte more than there may be
    if rest != expected:
        raise _refuse(_what_differs(rest, expected), plugin)
    if sums != _sums(files):
        raise _refuse(_what_sums_say(sums, files), plugin)
    return files


def _header(file: BinaryIO, plugin: str) -> tuple[str, int, int]:
    """Return name, CRC-32 and size of a local header whose magic is read."""
    raw = _LOCAL_MAGIC + _take(file, _LOCAL.size - 4, plugin)
    _, version, flags, method, time, date, crc, stored, size, name_bytes, extra = _LOCAL.unpack(raw)
    encoded = _take(file, name_bytes, plugin)
    try:
        name = encoded.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refuse(f"the name {encoded[:200]!r} is not UTF-8", plugin) from error
    shown = repr(name[:200])
    if flags & _ENCRYPTED:
        raise _refuse(f"{shown} is encrypted", plugin)
    if name.endswith("/"):
        raise _refuse(f"{shown} is a folder: a package has files only", plugin)
    if method != 0:
        raise _refuse(f"{shown} is compressed", plugin)
    if flags & _STREAMED or stored != size:
        raise _refuse(f"the sizes of {shown} contradict each other", plugin)
    if (version, flags, time, date, extra) != (_VERSION, _UTF8, _TIME, _DATE, 0):
        raise _refuse(f"the header of {shown} is not as a package has it", plugin)
    return name, crc, size


def _member(file: BinaryIO, folder: Path | None, name: str, crc: int, size: int, plugin: str) -> str:
    """Check a member's bytes, write them, and return their SHA-256."""
    digest = hashlib.sha256()
    found = 0
    writer = None
    if folder is not None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        writer = (folder / name).open("xb")
    try:
        left = size
        while left:
            chunk = _take(file, min(left, CHUNK), plugin)
            left -= len(chunk)
            found = zlib.crc32(chunk, found)
            digest.update(chunk)
            if writer:
                writer.write(chunk)
    finally:
        if writer:
            writer.close()
    if found != crc:
        raise _refuse(f"the checksum of {name!r} is wrong", plugin)
    return digest.hexdigest()


def _what_differs(rest: bytes, expected: bytes) -> str:
    """Say in words why the directory is not what it must be; the verdict is made already."""
    at = 0
    while rest[at : at + 4] == _CENTRAL_MAGIC and len(rest) >= at + _CENTRAL.size:
        entry = _CENTRAL.unpack_from(rest, at)
        name = rest[at + _CENTRAL.size :][: entry[10]]
        mode = entry[15] >> 16
        if stat.S_ISLNK(mode):
            return f"{name[:200]!r} is a link"
        if mode and not stat.S_ISREG(mode):
            return f"{name[:200]!r} is neither file nor folder"
        at += _CENTRAL.size + entry[10] + entry[11] + entry[12]
    if rest[: len(expected)] == expected:
        return "there is data after its end"
    return "its directory contradicts its files, or it is cut short"


def _what_sums_say(sums: bytes, files: Mapping[str, str]) -> str:
    said = {line[66:]: line[:64] for line in sums.decode("utf-8", "replace").splitlines()}
    wrong = sorted(name for name in said.keys() | files if said.get(name) != files.get(name))
    return f"{SUMS_NAME} does not fit {', '.join(wrong[:3]) or 'its own form'}"


def _take(file: BinaryIO, size: int, plugin: str) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise _refuse("it is cut short", plugin)
    return data


def _refuse(message: str, plugin: str) -> PluginRejected:
    return PluginRejected(f"not a package: {message}", plugin=plugin, hint='make it with "kubeshark plugin pack"')


def _sums(files: Mapping[str, str]) -> bytes:
    return "".join(f"{files[name]}  {name}\n" for name in sorted(files)).encode()


def _measure(path: Path) -> tuple[int, int, str]:
    """Return CRC-32, size and SHA-256 of a file."""
    crc = size = 0
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
            digest.update(chunk)
    return crc, size, digest.hexdigest()


def _local(name: str, crc: int, size: int) -> bytes:
    encoded = name.encode()
    fields = (_LOCAL_MAGIC, _VERSION, _UTF8, 0, _TIME, _DATE, crc, size, size, len(encoded), 0)
    return _LOCAL.pack(*fields) + encoded


def _directory(name: str, crc: int, size: int, offset: int) -> bytes:
    encoded = name.encode()
    fields = (_CENTRAL_MAGIC, _UNIX | _VERSION, _VERSION, _UTF8, 0, _TIME, _DATE, crc, size, size)
    return _CENTRAL.pack(*fields, len(encoded), 0, 0, 0, 0, _MODE, offset) + encoded


def _end(count: int, size: int, offset: int) -> bytes:
    return _END.pack(_END_MAGIC, 0, 0, count, count, size, offset, 0)
