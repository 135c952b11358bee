"""`<plugins.dir>/plugins.lock`: which contents each plugin was installed with, and from where.

It is made to be copied: `kubeshark plugin install --lock FILE` brings another machine to the same contents, and
refuses any other. Here it notices that a version which was installed once has become something else: a tag that was
moved, a file that was replaced.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from kubeshark.errors import PluginRejected, UsageError
from kubeshark.packages._contents import is_digest
from kubeshark.packages._documents import locked, read_document, write_document

__all__ = ["LOCK_NAME", "Pin", "check_pin", "parse_lock", "pin", "read_lock", "unpin"]

LOCK_NAME = "plugins.lock"
_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")


class Pin(msgspec.Struct, frozen=True):
    """One plugin's line."""

    version: str
    digest: str  # of the contents, in hexadecimal
    source: str = ""  # exact: an OCI reference has its manifest's digest
    signer: str = ""  # the key that signed it


class _Lock(msgspec.Struct, frozen=True):
    plugins: dict[str, Pin] = {}
    format: int = 1


def read_lock(folder: Path) -> dict[str, Pin]:
    """Return the pins of a plugins folder."""
    return (read_document(folder / LOCK_NAME, _Lock) or _Lock()).plugins


def parse_lock(path: Path) -> dict[str, Pin]:
    """Read a lock file from somewhere else; UsageError or PluginRejected for what is none."""
    lock = read_document(path, _Lock)
    if lock is None:
        raise UsageError(f"{path} is not there")
    for plugin, found in lock.plugins.items():
        if not _ID.fullmatch(plugin) or not is_digest(found.digest) or not found.source or lock.format != 1:
            raise PluginRejected(f"{path} has no digest or no source for it", plugin=plugin[:64])
    return lock.plugins


def check_pin(folder: Path, plugin: str, version: str, digest: str) -> None:
    """Refuse other contents under a version that is pinned."""
    before = read_lock(folder).get(plugin)
    if before and before.version == version and before.digest != digest:
        raise PluginRejected(
            f"{version} was sha256:{before.digest[:16]}… when it was installed, and is sha256:{digest[:16]}… now",
            plugin=plugin,
            hint="ask its author why; --repin installs it all the same",
        )


def pin(folder: Path, plugin: str, found: Pin) -> None:
    """Write a plugin's line."""
    _change(folder, plugin, found)


def unpin(folder: Path, plugin: str) -> None:
    """Remove a plugin's line, if there is one."""
    _change(folder, plugin, None)


def _change(folder: Path, plugin: str, found: Pin | None) -> None:
    with locked(folder):
        plugins = dict(read_lock(folder))
        plugins.pop(plugin, None)
        if found:
            plugins[plugin] = found
        write_document(folder / LOCK_NAME, _Lock(dict(sorted(plugins.items()))))
