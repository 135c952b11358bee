"""Installed plugins: where they lie, how one gets there, and whether it is still what was installed.

    <plugins.dir>/<id>/install.json           which version, a SHA-256 per file, what was granted; the one before, too
    <plugins.dir>/<id>/<version>/...          the plugin's files, as they were
    <plugins.dir>/.data/<id>/...              what it writes, if it was granted paths=data; kept when it is replaced
    <plugins.dir>/trust.json, plugins.lock    see kubeshark.packages

Invariants:

1. Installing copies and hashes; it runs and compiles nothing.
2. Links, special files and names that leave the folder are refused, whoever made folder or package.
3. `install.json` is replaced last and at once: a broken installation leaves the one before.
4. A plugin whose files differ from its record is not loaded; nor is one whose signer is not trusted any more, unless
   the user took it unsigned.
5. A permission is granted to a digest. Another digest gets it only from the same signer, and never more of them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from kubeshark.errors import PluginError, PluginRejected, UsageError
from kubeshark.extension_api._manifest import Manifest, read_manifest
from kubeshark.extension_api._permissions import Grants
from kubeshark.extension_api._settings import check_settings
from kubeshark.packages._contents import content_digest, folder_files, hash_file
from kubeshark.packages._documents import locked, write_document
from kubeshark.packages._lock import pin, unpin
from kubeshark.packages._trust import TrustedKey, read_trust
from kubeshark.pipeline.plugins._install_record import (
    INSTALL_LOCK,
    NOT_SIGNED,
    RECORD_NAME,
    TRUST_HINT,
    Record,
    pin_of,
    read_record,
    signer_of,
    without_previous,
)
from kubeshark.pipeline.plugins._lifecycle import BrokenEnricher
from kubeshark.pipeline.plugins._state import PluginState, change_state, plugins_folder, quarantine_of, read_states

if TYPE_CHECKING:
    from kubeshark.hosts import ForeignPlugin
    from kubeshark.hosts.broker import Broker

__all__ = [
    "InstalledPlugin",
    "foreign_plugins",
    "granted_broker",
    "installed_plugins",
    "load_plugin",
    "plugin_path",
    "plugins_folder",
    "roll_back",
    "uninstall",
]


DATA_NAME = ".data"


class InstalledPlugin(Struct, frozen=True):
    """One plugin of the plugins folder; `problem` says why it is not used."""

    id: str
    version: str
    folder: Path
    digest: str = ""  # over all files
    signer: str = ""  # the name of the trusted key that signed it
    doubt: str = NOT_SIGNED  # why there is no signer
    source: str = ""
    previous: str = ""  # the version that a roll-back returns to
    grants: Mapping[str, Sequence[str]] = field(default_factory=dict)
    manifest: Manifest | None = None
    problem: PluginError | None = None
    state: PluginState = field(default_factory=PluginState)
    hooks: Sequence[str] = ()  # as it was installed, also where its manifest cannot be read any more

    @property
    def signed(self) -> bool:
        return bool(self.signer)


def installed_plugins(folder: Path | None = None) -> list[InstalledPlugin]:
    """Return the installed plugins by id, each checked against its digests."""
    root = folder or plugins_folder()
    if not root.is_dir():
        return []
    states = read_states(root)
    keys = _trusted(root)
    found = [
        load_plugin(path, keys) for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")
    ]
    return [replace(plugin, state=states.get(plugin.id, PluginState())) for plugin in found]


def foreign_plugins(
    folder: Path | None = None, *, only: str = ""
) -> tuple[list[tuple[str, ForeignPlugin]], list[BrokenEnricher], list[PluginError]]:
    """Return what `Plugins(foreign=…, broken=…)` takes, and what is wrong with the plugins that are left out.

    With `only`, nothing of the plugins with another id.
    """
    plugins, broken, problems = [], [], []
    for installed in installed_plugins(folder):
        manifest = installed.manifest
        if installed.state.disabled or only not in ("", installed.id):
            continue
        try:
            if installed.problem:
                raise installed.problem
            if manifest is not None and manifest.script is None:  # scripts run by themselves (pipeline/scripts)
                plugins.append(_foreign(installed, manifest))
        except PluginError as error:
            problems.append(error)
            if "enrich" in installed.hooks:
                broken.append(BrokenEnricher(f"{installed.id}@{installed.version}", error.message))
    return plugins, broken, problems


def _foreign(installed: InstalledPlugin, manifest: Manifest) -> tuple[str, ForeignPlugin]:
    """PluginRejected for settings that do not fit (any more), PluginError for one that crashed too often before."""
    from kubeshark.hosts import ForeignPlugin  # most have no plugins, and every query comes by here

    quarantined = quarantine_of(installed.state, installed.digest)
    if quarantined:
        raise PluginError(quarantined, plugin=manifest.label, hint=f'use "kubeshark plugin enable {installed.id}"')
    environment = {name: os.environ[name] for name in installed.grants.get("env", ()) if name in os.environ}
    try:
        settings = check_settings(manifest.setting_specs, installed.state.settings)
    except UsageError as error:
        raise PluginRejected(error.message, plugin=manifest.label, hint=error.hint) from error
    broker = granted_broker(installed)
    plugin = ForeignPlugin(
        installed.folder,
        manifest,
        environment=environment,
        settings=list(settings.values()),
        broker=broker,
        digest=installed.digest,
    )
    return plugin.name, plugin


def granted_broker(installed: InstalledPlugin) -> Broker:
    """Return what serves this plugin at run time; PluginRejected for grants that say nothing (any more)."""
    from kubeshark.hosts.broker import Broker

    try:
        grants = Grants.parse(tuple(installed.grants.get("hosts", ())), tuple(installed.grants.get("paths", ())))
    except ValueError as error:
        text = f"its grants are unreadable: {error}"
        raise PluginRejected(text, plugin=installed.id, hint="install it again") from error
    return Broker(grants, own_folder=installed.folder.parent.parent / DATA_NAME / installed.id)


def uninstall(plugin: str, folder: Path | None = None) -> None:
    """Remove a plugin; UsageError if it is not installed."""
    path = plugin_path(plugin, folder or plugins_folder())
    if path is None:
        raise UsageError(f"plugin {plugin!r} is not installed", hint='see "kubeshark plugin list"')
    with locked(path.parent, INSTALL_LOCK):
        (path / RECORD_NAME).unlink(missing_ok=True)  # first: half a plugin is no plugin
        shutil.rmtree(path)
        shutil.rmtree(path.parent / DATA_NAME / path.name, ignore_errors=True)
    change_state(path.parent, plugin, lambda _: None)
    unpin(path.parent, plugin)


def roll_back(plugin: str, folder: Path | None = None) -> InstalledPlugin:
    """Return to the version before, with what was granted to it; a second time, to the one it came from.

    UsageError if there is none, PluginRejected if it may not be loaded any more: then nothing changes.
    """
    root = folder or plugins_folder()
    path = plugin_path(plugin, root)
    if path is None:
        raise UsageError(f"plugin {plugin!r} is not installed", hint='see "kubeshark plugin list"')
    with locked(root, INSTALL_LOCK):
        try:
            record = read_record(path)
        except (OSError, msgspec.DecodeError, ValueError) as error:
            raise _unreadable(plugin, error) from error
        before = record.previous
        if before is None:
            raise UsageError(f"there is no version of {plugin} before {record.version}")
        found = _checked(path, before, _trusted(root))
        if found.problem:
            raise found.problem
        write_document(path / RECORD_NAME, msgspec.structs.replace(before, previous=without_previous(record)))
        pin(root, plugin, pin_of(before))
    return load_plugin(path, _trusted(root))


def _trusted(root: Path) -> list[TrustedKey]:
    """Return the trusted keys; none if the file cannot be read, which `plugin trust` says: then no signature counts."""
    try:
        return read_trust(root)
    except PluginRejected:
        return []


def plugin_path(plugin: str, root: Path) -> Path | None:
    """Return the folder of an installed plugin; looked up, not joined: an id may be anything a user types."""
    return next((path for path in root.iterdir() if path.name == plugin), None) if root.is_dir() else None


def _unreadable(plugin: str, error: Exception) -> PluginRejected:
    return PluginRejected(f"its {RECORD_NAME} is unreadable: {error}", plugin=plugin, hint="install it again")


def load_plugin(path: Path, keys: list[TrustedKey]) -> InstalledPlugin:
    """Read one plugin's folder and compare it with its record."""
    try:
        record = read_record(path)
    except (OSError, msgspec.DecodeError, ValueError) as error:
        return InstalledPlugin(path.name, "?", path, problem=_unreadable(path.name, error))
    return _checked(path, record, keys)


def _checked(path: Path, record: Record, keys: list[TrustedKey]) -> InstalledPlugin:
    """Return what a record says, compared with the files."""
    folder = path / record.place
    signer, doubt = "", NOT_SIGNED
    manifest: Manifest | None = None
    problem_found: PluginError | None = None
    try:
        manifest = read_manifest(folder)
        files = {name: hash_file(folder / name) for name in folder_files(folder, record.id)}
        if files != record.files or content_digest(files) != record.digest or manifest.id != path.name:
            changed = sorted(name for name in files.keys() | record.files if files.get(name) != record.files.get(name))
            raise PluginRejected(
                f"{', '.join(changed[:3]) or RECORD_NAME} changed since it was installed",
                plugin=record.id,
                hint="install it again if that was you",
            )
        signer, doubt = signer_of(record.signature, manifest, record.digest, keys)
        if doubt and record.signature and not record.is_taken_unsigned:
            raise PluginRejected(doubt, plugin=record.id, hint=TRUST_HINT.format(key=record.signature.key))
    except PluginError as error:
        problem_found = error
    except OSError as error:
        problem_found = PluginRejected(f"{error.filename}: {error.strerror}", plugin=record.id, hint="install it again")
    return InstalledPlugin(
        path.name,
        record.version,
        folder,
        record.digest,
        signer,
        doubt,
        record.source,
        record.previous.version if record.previous else "",
        record.grants,
        manifest,
        problem_found,
        hooks=record.hooks or (manifest.hooks if manifest else ()),
    )
