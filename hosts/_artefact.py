"""Which file of a plugin is loaded here: the entry, or for C and C++ the object for this machine.

build/plugin.so                    one object: the manifest's entry, for the machine that built it
build/x86_64-linux/plugin.so       one for each machine: `kubeshark plugin build --target x86_64-linux,…`
build/aarch64-linux/plugin.so
"""

from __future__ import annotations

import platform
import struct
from pathlib import Path, PurePosixPath

from kubeshark.errors import PluginRejected
from kubeshark.extension_api._manifest import Manifest

__all__ = ["TARGETS", "artefact", "object_for", "targets_of", "this_target"]

TARGETS = {"x86_64-linux": 62, "aarch64-linux": 183}
"""Machines that the sandbox knows, with their numbers in an ELF header (e_machine)."""

_ELF = struct.Struct("<4sBB10xHH")
_SHARED = 3  # e_type


def this_target() -> str:
    return f"{platform.machine()}-linux"


def object_for(entry: str, target: str) -> str:
    """Return where the object for a machine lies, beside the entry."""
    path = PurePosixPath(entry)
    return str(path.parent / target / path.name)


def targets_of(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Return the objects of a C or C++ plugin: machine → relative path. Reads 20 bytes of each, and runs nothing."""
    found = {}
    for target, machine in TARGETS.items():
        for name in (object_for(manifest.entry, target), manifest.entry):
            if _machine(folder / name) == machine:
                found[target] = name
                break
    return found


def artefact(folder: Path, manifest: Manifest) -> str:
    """Return the relative path of what is loaded here; PluginRejected says what is there instead."""
    if manifest.language not in ("c", "cpp"):
        if not (folder / manifest.entry).is_file():
            raise _missing(folder, manifest)
        return manifest.entry
    found = targets_of(folder, manifest)
    if this_target() in found:
        return found[this_target()]
    if found:
        raise PluginRejected(
            f"is built for {' and '.join(found)}, and this machine is {this_target()}",
            plugin=manifest.id,
            hint=f"build it with --target {this_target()}, or ask its author to",
        )
    if (folder / manifest.entry).is_file():
        raise PluginRejected(
            f"{manifest.entry} is no shared object for {' or '.join(TARGETS)}",
            plugin=manifest.id,
            hint=f'run "kubeshark plugin build {folder}"',
        )
    raise _missing(folder, manifest)


def _missing(folder: Path, manifest: Manifest) -> PluginRejected:
    return PluginRejected(
        f"{manifest.entry} is missing", plugin=manifest.id, hint=f'run "kubeshark plugin build {folder}"'
    )


def _machine(path: Path) -> int:
    """Return a shared object's e_machine, -1 for any other file."""
    try:
        with path.open("rb") as file:
            header = file.read(_ELF.size)
    except OSError:
        return -1
    if len(header) < _ELF.size:
        return -1
    magic, width, order, kind, machine = _ELF.unpack(header)
    is_object = (magic, width, order, kind) == (b"\x7fELF", 2, 1, _SHARED)  # 64 bits, little-endian
    return int(machine) if is_object else -1
