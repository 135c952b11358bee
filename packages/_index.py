"""A plugin index: a plain JSON document that says which plugins there are, and where.

    {"format": 1, "plugins": [{"id": "fruit", "version": "1.0.0", "abi": 1, "language": "c", "hooks": ["dissect"],
      "description": "…", "source": "fruit-1.0.0.ksp", "digest": "sha256:…", "signer": "ed25519:…"}]}

A source is relative to the document, or absolute (`https://`, `oci://`; a path only in an index that is itself a
file). An index gives no trust: what comes must have the digest and the signer it names, and its signer must be trusted
here as anybody's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urljoin

import msgspec

from kubeshark.errors import PluginRejected, UsageError
from kubeshark.extension_api._frame import ABI_VERSION
from kubeshark.extension_api._manifest import Manifest, version_key
from kubeshark.packages._contents import is_digest
from kubeshark.packages._signature import parse_public_key
from kubeshark.packages._web import Web, shown

__all__ = ["IndexEntry", "default_index", "entry_for", "find", "load_index", "matches", "write_index"]

MAX_INDEX_BYTES = 32 << 20
_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")


class IndexEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of one plugin."""

    id: str
    version: str
    language: str
    source: str
    digest: str  # of the contents: sha256:…
    hooks: list[str] = []
    description: str = ""
    signer: str = ""
    abi: int = ABI_VERSION


class _Index(msgspec.Struct, frozen=True):
    plugins: list[IndexEntry]
    format: Literal[1]


def default_index() -> str:
    """Return $KUBESHARK_PLUGIN_INDEX, a path or an https:// address; UsageError if there is none."""
    named = os.environ.get("KUBESHARK_PLUGIN_INDEX", "")
    if not named:
        raise UsageError("no plugin index is named", hint="--index FILE|URL, or set KUBESHARK_PLUGIN_INDEX")
    return named


def load_index(where: str) -> list[IndexEntry]:
    """Read an index from a file or over https; sources come back absolute. PluginRejected for a broken one."""
    is_remote = "://" in where
    if is_remote:
        answer = Web().send("GET", where, limit=MAX_INDEX_BYTES)
        if answer.status != 200:
            raise PluginRejected(f"the server answers {answer.status}", plugin=shown(where))
        data, base = answer.body, answer.url
    else:
        path = Path(where)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_INDEX_BYTES)  # a larger one is cut, and no JSON
        except OSError as error:
            raise UsageError(f"index {where} cannot be read: {error.strerror}") from error
        base = str(path.resolve())
    try:
        return [_checked(entry, base, is_remote=is_remote) for entry in msgspec.json.decode(data, type=_Index).plugins]
    except (msgspec.DecodeError, RecursionError, ValueError, UsageError) as error:
        raise PluginRejected(f"is no plugin index: {error}", plugin=shown(where)) from error


def matches(entry: IndexEntry, words: Sequence[str]) -> bool:
    """Say whether every word is somewhere in the entry."""
    text = " ".join((entry.id, entry.language, entry.description, *entry.hooks)).casefold()
    return all(word.casefold() in text for word in words)


def find(entries: Sequence[IndexEntry], plugin: str, version: str = "") -> IndexEntry:
    """Return a version, else the newest that runs here, no pre-release if there is another. Says what is there."""
    there = [entry for entry in entries if entry.id == plugin]
    if not there:
        raise UsageError(f"the index has no plugin {plugin!r}", hint="kubeshark plugin search")
    chosen = [entry for entry in there if entry.version == version] if version else there
    if not chosen:
        versions = ", ".join(sorted({entry.version for entry in there}, key=version_key))
        raise UsageError(f"the index has no {plugin} {version}", hint=f"there are {versions}")
    fitting = [entry for entry in chosen if entry.abi == ABI_VERSION]
    if not fitting:
        raise PluginRejected(
            f"is made for ABI {', '.join(sorted({str(entry.abi) for entry in chosen}))}, and this is {ABI_VERSION}",
            plugin=plugin,
            hint="ask its author for a build with this version's SDK",
        )
    released = [entry for entry in fitting if "-" not in entry.version] or fitting
    return max(released, key=lambda entry: version_key(entry.version))


def entry_for(manifest: Manifest, digest: str, source: str, signer: str) -> IndexEntry:
    """Return the entry of a package."""
    return IndexEntry(
        manifest.id,
        manifest.version,
        manifest.language,
        source,
        f"sha256:{digest}",
        list(manifest.hooks),
        manifest.description,
        signer,
        manifest.abi,
    )


def write_index(path: Path, entries: Sequence[IndexEntry]) -> None:
    """Put entries into an index file, in the place of what it says of the same versions; it may be a new one."""
    before: list[IndexEntry] = []
    if path.exists():
        try:
            before = msgspec.json.decode(path.read_bytes(), type=_Index).plugins
        except (msgspec.DecodeError, RecursionError) as error:
            raise UsageError(f"{path} is no plugin index: {error}") from error
    new = {(entry.id, entry.version) for entry in entries}
    kept = [entry for entry in before if (entry.id, entry.version) not in new]
    ordered = sorted([*kept, *entries], key=lambda entry: (entry.id, version_key(entry.version)))
    data = msgspec.json.format(msgspec.json.encode(_Index(ordered, 1)), indent=1) + b"\n"
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def _checked(entry: IndexEntry, base: str, *, is_remote: bool) -> IndexEntry:
    name = f"{entry.id[:64]} {entry.version[:64]}"
    if not _ID.fullmatch(entry.id):
        raise ValueError(f"{entry.id[:64]!r} is not an id")
    version_key(entry.version)
    if not is_digest(entry.digest.removeprefix("sha256:")) or not entry.digest.startswith("sha256:"):
        raise ValueError(f"{name}: its digest is not sha256: and 64 digits")
    if entry.signer:
        parse_public_key(entry.signer)
    source = entry.source
    if "://" not in source:
        source = urljoin(base, source) if is_remote else str(Path(base).parent / source)
    if "://" in source and not source.startswith(("https://", "oci://")):
        raise ValueError(f"{name}: its source is neither https:// nor oci://")
    if is_remote and "://" not in source:
        raise ValueError(f"{name}: its source is no address")
    return msgspec.structs.replace(entry, source=source)
