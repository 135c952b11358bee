"""Whose signatures count: `<plugins.dir>/trust.json`.

A key is trusted for all plugins or for some (`acme-*`), for ever or until a day. Its end keeps new installations out;
what was installed before goes on, because it was good when it came. Removing a key ends what was installed with it,
too: that is what one does when a key is stolen.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from kubeshark.errors import UsageError
from kubeshark.packages._documents import locked, read_document, write_document

__all__ = ["TRUST_NAME", "TrustedKey", "add_key", "doubts", "find_key", "read_trust", "remove_key"]

TRUST_NAME = "trust.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")
_PATTERN = re.compile(r"[a-z0-9*?-]{1,64}")


class TrustedKey(msgspec.Struct, frozen=True):
    """One key; `only` holds patterns of plugin ids, none for all."""

    name: str
    key: str
    added: str = ""  # RFC 3339
    until: str = ""  # the last day, YYYY-MM-DD in UTC
    only: list[str] = []

    def is_for(self, plugin: str) -> bool:
        return not self.only or any(fnmatchcase(plugin, pattern) for pattern in self.only)

    def has_ended(self, today: date) -> bool:
        try:
            return bool(self.until) and today > date.fromisoformat(self.until)
        except ValueError:
            return True  # somebody wrote it by hand: what cannot be read gives no trust


class _Trust(msgspec.Struct, frozen=True):
    keys: list[TrustedKey] = []


def read_trust(folder: Path) -> list[TrustedKey]:
    """Return the trusted keys of a plugins folder; PluginRejected if the file is broken: no key then counts."""
    return (read_document(folder / TRUST_NAME, _Trust) or _Trust()).keys


def add_key(folder: Path, key: str, name: str = "", until: str = "", only: list[str] | None = None) -> TrustedKey:
    """Trust a key, or change how it is trusted; `key` is checked already."""
    with locked(folder):
        keys = read_trust(folder)
        before = find_key(keys, key)
        name = name or (before.name if before else f"key-{hashlib.sha256(key.encode()).hexdigest()[:8]}")
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is not a name for a key", hint="use letters, digits, spaces and ._@-")
        if any(other.name == name and other.key != key for other in keys):
            raise UsageError(f"there is another key named {name!r}", hint="choose another name, or remove that one")
        for pattern in only or ():
            if not _PATTERN.fullmatch(pattern):
                raise UsageError(f"{pattern!r} is not a pattern of plugin ids", hint="for example acme-*")
        if until:
            try:
                date.fromisoformat(until)
            except ValueError as error:
                raise UsageError(f"{until!r} is not a day", hint="write it as 2030-12-31") from error
        trusted = TrustedKey(name, key, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), until, only or [])
        write_document(folder / TRUST_NAME, _Trust([*(each for each in keys if each.key != key), trusted]))
    return trusted


def remove_key(folder: Path, name_or_key: str) -> TrustedKey:
    """Trust a key no more; UsageError if it was not."""
    with locked(folder):
        keys = read_trust(folder)
        found = next((each for each in keys if name_or_key in (each.name, each.key)), None)
        if found is None:
            raise UsageError(f"no trusted key is named {name_or_key!r}", hint='see "kubeshark plugin trust"')
        write_document(folder / TRUST_NAME, _Trust([each for each in keys if each != found]))
    return found


def find_key(keys: list[TrustedKey], key: str) -> TrustedKey | None:
    return next((each for each in keys if each.key == key), None)


def doubts(keys: list[TrustedKey], key: str, plugin: str, today: date | None = None) -> str:
    """Return why a key's good signature does not count for a plugin, "" if it does; None as day: ends do not matter."""
    trusted = find_key(keys, key)
    if trusted is None:
        return f"is signed by {key}, which is not trusted"
    if not trusted.is_for(plugin):
        return f"is signed by {trusted.name!r}, which is trusted for {', '.join(trusted.only)} only"
    if today is not None and trusted.has_ended(today):
        return f"is signed by {trusted.name!r}, which was trusted until {trusted.until}"
    return ""
