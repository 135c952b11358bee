"""Which processes speak TLS, by which library, and whether probes can read them.

All is read from /proc: what a process maps, and the symbols of those files, which are a stranger's, and read as such.
A process of a container names its files by paths inside it: they are opened through /proc/PID/root.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

__all__ = ["FUNCTIONS", "Functions", "Library", "TlsProcess", "functions_of", "tls_processes"]

FUNCTIONS: Final = ("SSL_read", "SSL_write", "SSL_read_ex", "SSL_write_ex", "SSL_free")
"""Where probes stand; the first two must be there."""

MAX_FILE = 1 << 30
MAX_SYMBOLS = 1 << 20
MAX_NAMES = 128 << 20  # bytes
_SYMBOL = struct.Struct("<IxxHQ8x")  # place of the name, section, address
_UNDEFINED = 0
MAX_FILES = 512  # of one process that are looked at
_LIBSSL = re.compile(r"/lib(?:ssl|boringssl)[-.\w]*\.so")
_OTHERS: Final = {
    re.compile(r"/libgnutls[-.\w]*\.so"): "GnuTLS",
    re.compile(r"/libnss3[-.\w]*\.so|/libssl3\.so"): "NSS",
    re.compile(r"/libmbedtls[-.\w]*\.so"): "Mbed TLS",
    re.compile(r"/libwolfssl[-.\w]*\.so"): "wolfSSL",
    re.compile(r"/libjvm\.so"): "Java",
}
_GO_BUILD = b"\xff Go buildinf:"
_CGROUP_ID = re.compile(r"(?:^|[-/:.])([0-9a-f]{64})(?:\.scope)?$")


class Library(Struct, frozen=True):
    """A file whose functions can be probed: `key` tells files apart, wherever they are mounted."""

    key: tuple[int, int]  # device, inode
    path: Path  # opens it from here
    name: str  # as the process calls it


class TlsProcess(Struct, frozen=True):
    """One process that uses TLS. `reason` says why it cannot be read, empty where it can."""

    pid: int
    name: str
    cgroup: str  # its path below the cgroup2 mount
    library: Library | None
    reason: str = ""

    @property
    def container(self) -> str:
        """The id of its container, 64 hex digits, or nothing."""
        found = _CGROUP_ID.search(self.cgroup)
        return found[1] if found else ""


Functions = dict[str, int]
"""Name → where it begins, in bytes of its file."""


def tls_processes(
    known: dict[tuple[int, int], Functions] | None = None, *, explains: bool = True
) -> Iterator[TlsProcess]:
    """Yield the processes that use TLS, as far as this one may see them.

    `known` keeps what is in files from call to call. Without `explains` those that cannot be read are left out, which
    costs less.
    """
    known = {} if known is None else known
    for pid in sorted(int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()):
        with suppress(OSError):  # it ended, or is not ours to see
            if found := _look_at(pid, known, explains):
                yield found


def _look_at(pid: int, known: dict[tuple[int, int], Functions], explains: bool) -> TlsProcess | None:
    root = Path(f"/proc/{pid}")
    name = (root / "comm").read_text(encoding="utf-8", errors="replace").rstrip("\n")
    files = _mapped(root)
    executable = str((root / "exe").readlink())
    candidates = [path for path in files if _LIBSSL.search(path) and not path.endswith("/libssl3.so")]
    reason = ""
    for path in (*candidates, *([executable] if executable in files else ())):
        library = _library(root, path)
        if library is None:
            continue
        if library.key not in known:
            known[library.key] = functions_of(library.path)
        if {"SSL_read", "SSL_write"} <= known[library.key].keys():
            return TlsProcess(pid, name, _cgroup_of(root), library)
        if path != executable:
            reason = f"{Path(path).name} has no SSL_read and SSL_write"
    if not explains:
        return None
    reason = reason or _why_not(root, files)
    return TlsProcess(pid, name, _cgroup_of(root), None, reason) if reason else None


def _why_not(root: Path, files: list[str]) -> str:
    """Say by what else a process speaks TLS, nothing if by nothing that is known."""
    others = {what for path in files for pattern, what in _OTHERS.items() if pattern.search(path)}
    if others:
        return f"{' and '.join(sorted(others))} is no libssl"
    return "a Go program brings its own TLS" if _is_go_with_tls(root / "exe") else ""


def _mapped(root: Path) -> list[str]:
    """Return the files that a process runs code of, by path."""
    files: dict[str, None] = {}
    for line in (root / "maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and "x" in fields[1] and fields[5].startswith("/") and len(files) < MAX_FILES:
            files[fields[5].removesuffix(" (deleted)")] = None
    return list(files)


def _library(root: Path, path: str) -> Library | None:
    inside = root / "root" / path.lstrip("/")
    try:
        status = inside.stat()
    except OSError:  # deleted, as by an upgrade
        return None
    return Library((status.st_dev, status.st_ino), inside, path)


def _cgroup_of(root: Path) -> str:
    for line in (root / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("0::"):
            return line[3:]
    return ""


def functions_of(file: Path) -> Functions:
    """Return where the functions of FUNCTIONS begin, in bytes of the file; nothing for what is no program.

    Of 64-bit programs, little-endian, as those are that probes stand in.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    damage = (OSError, ELFError, ValueError, KeyError, MemoryError, OverflowError)  # of a file that is a stranger's
    with suppress(*damage), file.open("rb") as stream:
        if os.fstat(stream.fileno()).st_size > MAX_FILE:
            return {}
        elf = ELFFile(stream)
        if elf.elfclass != 64 or not elf.little_endian:
            return {}
        tables = (elf.get_section_by_name(name) for name in (".dynsym", ".symtab"))
        found = next(filter(None, (_addresses(elf, table) for table in tables if table is not None)), {})
        segments = [each for each in elf.iter_segments() if each["p_type"] == "PT_LOAD"]
        return {
            name: address - segment["p_vaddr"] + segment["p_offset"]
            for name, address in found.items()
            for segment in segments
            if segment["p_vaddr"] <= address < segment["p_vaddr"] + segment["p_filesz"]
        }
    return {}


def _addresses(elf: Any, table: Any) -> dict[str, int]:
    """Return the addresses of FUNCTIONS in a symbol table.

    elftools makes an object of each symbol: half a minute for a browser's. The names are looked for first, where they
    lie, and only their places in the table (elf(5), Elf64_Sym).
    """
    names = _raw(elf, elf.get_section(table["sh_link"]), MAX_NAMES)
    wanted = {at: name for name in FUNCTIONS for at in _places(names, name.encode() + b"\0")}
    if not wanted:
        return {}
    symbols = _raw(elf, table, MAX_SYMBOLS * _SYMBOL.size)
    whole = memoryview(symbols)[: len(symbols) // _SYMBOL.size * _SYMBOL.size]
    return {
        wanted[at]: address
        for at, section, address in _SYMBOL.iter_unpack(whole)
        if at in wanted and address and section != _UNDEFINED
    }


def _raw(elf: Any, section: Any, limit: int) -> bytes:
    """Return a section as it lies in the file: what says that it is compressed is not believed."""
    elf.stream.seek(section["sh_offset"])
    data: bytes = elf.stream.read(min(section["sh_size"], limit))
    return data


def _places(text: bytes, wanted: bytes) -> Iterator[int]:
    at = text.find(wanted)
    while at >= 0:
        yield at
        at = text.find(wanted, at + 1)


def _is_go_with_tls(file: Path) -> bool:
    """Say whether a program was built by Go with crypto/tls: both are found as text near its ends."""
    size = 64 << 20
    with suppress(OSError), file.open("rb") as stream:
        data = stream.read(size)
        return _GO_BUILD in data and b"crypto/tls.(*Conn)" in data
    return False
