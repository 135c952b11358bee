"""`<plugins.dir>/<id>/install.json`: what was installed, from where, with whose signature, and what it may do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from kubeshark.extension_api._manifest import Manifest, version_key
from kubeshark.packages._lock import Pin
from kubeshark.packages._signature import Signature, verify
from kubeshark.packages._trust import TrustedKey, doubts

__all__ = [
    "INSTALL_LOCK",
    "NOT_SIGNED",
    "RECORD_NAME",
    "TRUST_HINT",
    "Record",
    "pin_of",
    "read_record",
    "signer_of",
    "without_previous",
]

RECORD_NAME = "install.json"
INSTALL_LOCK = ".install.lock"
"""Held while plugins are put in place or removed."""
NOT_SIGNED = "is not signed"
TRUST_HINT = 'run "kubeshark plugin trust {key}", or install with --allow-unsigned'


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """install.json"""

    id: str
    version: str
    digest: str
    files: dict[str, str]  # relative path → SHA-256
    grants: dict[str, list[str]] = {}
    hooks: list[str] = []
    folder: str = ""  # below the plugin's; "" is the version
    source: str = ""
    exact: str = ""
    signature: Signature | None = None
    is_taken_unsigned: bool = False  # the user said so
    previous: Record | None = None  # what `roll_back` returns to

    @property
    def place(self) -> str:
        return self.folder or self.version


def read_record(path: Path) -> Record:
    """Read the record in a plugin's folder; OSError, msgspec.DecodeError or ValueError."""
    record = msgspec.json.decode((path / RECORD_NAME).read_bytes(), type=Record)
    for each in (record, record.previous):
        if each:
            version_key(each.version)
            version_key(each.place.partition("~")[0])  # it becomes a path
            if "/" in each.place:
                raise ValueError(f"{each.place!r} is no folder of it")
    return record


def signer_of(
    signature: Signature | None,
    manifest: Manifest,
    digest: str,
    keys: list[TrustedKey],
    *,
    is_new: bool = False,
) -> tuple[str, str]:
    """Return the name of the trusted signer, or why there is none; PluginRejected if the signature is wrong."""
    if signature is None:
        return "", NOT_SIGNED
    verify(signature, manifest.id, manifest.version, digest)
    today = datetime.now(UTC).date() if is_new else None
    if doubt := doubts(keys, signature.key, manifest.id, today):
        return "", doubt
    return next(each.name for each in keys if each.key == signature.key), ""


def without_previous(record: Record) -> Record:
    return msgspec.structs.replace(record, previous=None)


def pin_of(record: Record) -> Pin:
    return Pin(record.version, record.digest, record.exact, record.signature.key if record.signature else "")
