"""`plugin.toml`: what a plugin is, declares and asks for, checked before anything of it is loaded.

Invariants of a Manifest that `read_manifest` returned:

1. `entry` is a relative path inside the plugin's folder (no `..`, no drive, no link is followed by the loader).
2. Nothing in it clashes with a name of KFL or CEL, so registering it cannot change what a filter means.
3. Every number lies in a range that the hosts can keep.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from kubeshark.errors import PluginRejected
from kubeshark.extension_api._frame import ABI_VERSION
from kubeshark.extension_api._manifest_rules import check_manifest, version_key
from kubeshark.extension_api._manifest_tables import (
    DOCUMENT,
    HOOK_NUMBERS,
    HOST_ENTRY_POINTS,
    LANGUAGES,
    ClassifierTable,
    EnrichTable,
    EnrichVariableTable,
    FieldTable,
    FilterTable,
    JobTable,
    Language,
    Limits,
    Manifest,
    Permissions,
    ProtocolTable,
    ScriptTable,
    SettingTable,
    SummarizeTable,
)

__all__ = [
    "DOCUMENT",
    "HOOK_NUMBERS",
    "HOST_ENTRY_POINTS",
    "LANGUAGES",
    "MANIFEST_NAME",
    "ClassifierTable",
    "EnrichTable",
    "EnrichVariableTable",
    "FieldTable",
    "FilterTable",
    "JobTable",
    "Language",
    "Limits",
    "Manifest",
    "Permissions",
    "ProtocolTable",
    "ScriptTable",
    "SettingTable",
    "SummarizeTable",
    "parse_manifest",
    "read_manifest",
    "version_key",
]

MANIFEST_NAME = "plugin.toml"
MAX_MANIFEST_BYTES = 256 << 10  # the largest we have is 3 KiB


def read_manifest(folder: Path) -> Manifest:
    """Read and check `folder`/plugin.toml; PluginRejected says file, key and what to do."""
    path = folder / MANIFEST_NAME
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise PluginRejected(
            f"{path} cannot be read: {error.strerror}",
            plugin=folder.name,
            hint="a plugin is a folder with a plugin.toml",
        ) from error
    return parse_manifest(data, file=str(path), plugin=folder.name)


def parse_manifest(data: bytes, *, file: str = MANIFEST_NAME, plugin: str = "?") -> Manifest:
    """Check the bytes of a plugin.toml; `file` and `plugin` name it in errors."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise PluginRejected(f"{file} is larger than {MAX_MANIFEST_BYTES:,} bytes", plugin=plugin)
    try:
        table: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits
        raise PluginRejected(f"{file} is not TOML: {error}", plugin=plugin) from error
    abi = table.get("abi")
    if type(abi) is int and abi != ABI_VERSION:  # before keys that only another ABI knows are called unknown
        raise PluginRejected(
            f"{file}: abi: it is made for ABI {abi}, and this kubeshark has {ABI_VERSION}",
            plugin=str(table.get("id", plugin))[:64],
            hint="build the plugin with this version's SDK" if abi < ABI_VERSION else "use a newer kubeshark",
        )
    try:
        manifest = msgspec.convert(table, Manifest)
    except msgspec.ValidationError as error:
        raise PluginRejected(f"{file}: {_with_key(error)}", plugin=plugin) from error
    check_manifest(manifest, file)
    return manifest


def _with_key(error: msgspec.ValidationError) -> str:
    """Turn msgspec's `… - at `$.protocol.name`` into `protocol.name: …`."""
    message, _, where = str(error).partition(" - at `")
    key = where.rstrip("`").removeprefix("$").lstrip(".")
    return f"{key}: {message}" if key else message
