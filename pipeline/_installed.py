"""Installed plugins: where they lie, how one gets there, and whether it is still what was installed.

    <plugins.dir>/<id>/install.json           which version, a SHA-256 per file, what was granted
    <plugins.dir>/<id>/<version>/...          the plugin's files, as they were
    <plugins.dir>/.data/<id>/...              what it writes, if it was granted paths=data; kept when it is replaced

Invariants:

1. Installing copies and hashes; it runs and compiles nothing.
2. Links, special files and names that leave the folder are refused, whoever made the folder.
3. `install.json` is replaced last and at once: a broken installation leaves the one before.
4. A plugin whose files differ from its record is not loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from kubeshark.errors import PluginError, PluginRejected, UsageError
from kubeshark.extension_api._manifest import Manifest, read_manifest, version_key
from kubeshark.extension_api._permissions import Grants, check_grant
from kubeshark.extension_api._settings import check_settings
from kubeshark.hosts import ForeignPlugin
from kubeshark.hosts.broker import Broker
from kubeshark.pipeline._lifecycle import BrokenEnricher
from kubeshark.pipeline._plugin_state import PluginState, change_state, plugins_folder, read_states

__all__ = [
    "InstalledPlugin",
    "Stage",
    "foreign_plugins",
    "granted_broker",
    "installed_plugins",
    "plugins_folder",
    "uninstall",
]

RECORD_NAME = "install.json"
DATA_NAME = ".data"
_AGAIN = "install it again"
MAX_FILES = 2000
MAX_BYTES = 256 << 20  # a Go plugin with its sources has 4 MiB
_CHUNK = 1 << 20


class _Record(msgspec.Struct, frozen=True):
    """install.json"""

    id: str
    version: str
    digest: str
    files: dict[str, str]  # relative path → SHA-256
    signed: bool = False
    grants: dict[str, list[str]] = {}
    hooks: list[str] = []


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """One plugin of the plugins folder; `problem` says why it is not used."""

    id: str
    version: str
    folder: Path
    digest: str = ""  # over all files
    signed: bool = False
    grants: Mapping[str, Sequence[str]] = field(default_factory=dict)
    manifest: Manifest | None = None
    problem: PluginError | None = None
    state: PluginState = field(default_factory=PluginState)
    hooks: Sequence[str] = ()  # as it was installed, also where its manifest cannot be read any more


def installed_plugins(folder: Path | None = None) -> list[InstalledPlugin]:
    """Return the installed plugins by id, each checked against its digests."""
    root = folder or plugins_folder()
    if not root.is_dir():
        return []
    states = read_states(root)
    found = [_load(path) for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    return [replace(plugin, state=states.get(plugin.id, PluginState())) for plugin in found]


def foreign_plugins(
    folder: Path | None = None,
) -> tuple[list[tuple[str, ForeignPlugin]], list[BrokenEnricher], list[PluginError]]:
    """Return what `Plugins(foreign=…, broken=…)` takes, and what is wrong with the plugins that are left out."""
    plugins, broken, problems = [], [], []
    for installed in installed_plugins(folder):
        manifest = installed.manifest
        if installed.state.disabled:
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
    """PluginRejected for settings that do not fit (any more)."""
    environment = {name: os.environ[name] for name in installed.grants.get("env", ()) if name in os.environ}
    try:
        settings = check_settings(manifest.setting_specs, installed.state.settings)
    except UsageError as error:
        raise PluginRejected(error.message, plugin=manifest.label, hint=error.hint) from error
    broker = granted_broker(installed)
    plugin = ForeignPlugin(
        installed.folder, manifest, environment=environment, settings=list(settings.values()), broker=broker
    )
    return plugin.name, plugin


def granted_broker(installed: InstalledPlugin) -> Broker:
    """Return what serves this plugin at run time; PluginRejected for grants that say nothing (any more)."""
    try:
        grants = Grants.parse(tuple(installed.grants.get("hosts", ())), tuple(installed.grants.get("paths", ())))
    except ValueError as error:
        raise PluginRejected(f"its grants are unreadable: {error}", plugin=installed.id, hint=_AGAIN) from error
    return Broker(grants, own_folder=installed.folder.parent.parent / DATA_NAME / installed.id)


def uninstall(plugin: str, folder: Path | None = None) -> None:
    """Remove a plugin; UsageError if it is not installed."""
    path = _plugin_path(plugin, folder or plugins_folder())
    if path is None:
        raise UsageError(f"plugin {plugin!r} is not installed", hint='see "kubeshark plugin list"')
    (path / RECORD_NAME).unlink(missing_ok=True)  # first: half a plugin is no plugin
    shutil.rmtree(path)
    shutil.rmtree(path.parent / DATA_NAME / path.name, ignore_errors=True)
    change_state(path.parent, plugin, lambda _: None)


def _plugin_path(plugin: str, root: Path) -> Path | None:
    """Return the folder of an installed plugin; looked up, not joined: an id may be anything a user types."""
    return next((path for path in root.iterdir() if path.name == plugin), None) if root.is_dir() else None


def _load(path: Path) -> InstalledPlugin:
    try:
        record = msgspec.json.decode((path / RECORD_NAME).read_bytes(), type=_Record)
        version_key(record.version)  # it becomes a path
    except (OSError, msgspec.DecodeError, ValueError) as error:
        problem = PluginRejected(f"its {RECORD_NAME} is unreadable: {error}", plugin=path.name, hint="install it again")
        return InstalledPlugin(path.name, "?", path, problem=problem)
    folder = path / record.version
    manifest: Manifest | None = None
    problem_found: PluginError | None = None
    try:
        manifest = read_manifest(folder)
        files = {name: _hash_file(folder / name) for name in _files(folder, record.id)}
        if files != record.files or _digest(files) != record.digest or manifest.id != path.name:
            changed = sorted(name for name in files.keys() | record.files if files.get(name) != record.files.get(name))
            raise PluginRejected(
                f"{', '.join(changed[:3]) or RECORD_NAME} changed since it was installed",
                plugin=record.id,
                hint="install it again if that was you",
            )
    except PluginError as error:
        problem_found = error
    except OSError as error:
        problem_found = PluginRejected(f"{error.filename}: {error.strerror}", plugin=record.id, hint="install it again")
    return InstalledPlugin(
        path.name,
        record.version,
        folder,
        record.digest,
        record.signed,
        record.grants,
        manifest,
        problem_found,
        hooks=record.hooks or (manifest.hooks if manifest else ()),
    )


def _files(folder: Path, plugin: str) -> list[str]:
    """Return the relative POSIX paths of all files, sorted; refuse links, special files and too many of them."""
    found: list[str] = []
    folders = [folder]
    for place in folders:  # grows while we go: no recursion over what somebody else made
        for path in place.iterdir():
            name = path.relative_to(folder).as_posix()
            if path.name.startswith(".") or path.name == "__pycache__":
                continue  # .git and the like are no part of a plugin
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
    return sorted(found)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(files: Mapping[str, str]) -> str:
    """Return one SHA-256 over names and hashes: what a permission is granted to."""
    return hashlib.sha256("".join(f"{name}\0{files[name]}\n" for name in sorted(files)).encode()).hexdigest()


class Stage:
    """A copy of a plugin's folder, checked, not yet installed: look at it, ask, then `commit`. Use with `with`."""

    def __init__(self, source: Path, folder: Path | None = None) -> None:
        """Copy and check; PluginRejected says what is wrong with the source."""
        self.root = folder or plugins_folder()
        self.manifest = read_manifest(source)
        if self.manifest.language == "python":
            raise PluginRejected(
                "a Python plugin is a package",
                plugin=self.manifest.id,
                hint='pip install it; its entry point is in "kubeshark.plugins"',
            )
        if not (source / self.manifest.entry).is_file():
            raise PluginRejected(
                f"{self.manifest.entry} is missing",
                plugin=self.manifest.id,
                hint=f'run "kubeshark plugin build {source}"',
            )
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._copy = Path(tempfile.mkdtemp(prefix=".stage-", dir=self.root))
        try:
            self.files = _copy_files(source, self._copy, self.manifest.id)
            self.manifest = read_manifest(self._copy)  # what we copied is what counts
        except BaseException:
            self.close()
            raise
        self.digest = _digest(self.files)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def installed_version(self) -> str:
        """The version that this one replaces, "" if there is none."""
        path = _plugin_path(self.manifest.id, self.root)
        return _load(path).version if path else ""

    def check_grants(self, grants: Mapping[str, Sequence[str]]) -> None:
        """Refuse to grant what the manifest does not ask for."""
        if self.manifest.script:
            from kubeshark.pipeline.scripts._script import check_script_grants

            check_script_grants(grants)
            return
        for kind, values in grants.items():
            asked = getattr(self.manifest.permissions, kind, None)
            if asked is None:
                raise UsageError(f"there is no permission {kind!r}", hint="there are hosts, paths and env")
            for value in values:
                try:
                    check_grant(kind, value, asked=tuple(asked))
                except ValueError as error:
                    hint = f"it asks for {', '.join(asked) or f'no {kind}'}"
                    raise UsageError(f"plugin {self.manifest.id}: {kind}={value} {error}", hint=hint) from error

    def commit(self, *, grants: Mapping[str, Sequence[str]] | None = None, downgrade: bool = False) -> InstalledPlugin:
        """Install the copy; PluginRejected for an older version than the installed one, unless `downgrade`."""
        manifest = self.manifest
        self.check_grants(grants or {})
        before = self.installed_version
        if before and before != "?" and version_key(manifest.version) < version_key(before) and not downgrade:
            raise PluginRejected(
                f"{manifest.version} is older than the installed {before}",
                plugin=manifest.id,
                hint="install with --downgrade if you mean it",
            )
        home = self.root / manifest.id
        home.mkdir(exist_ok=True, mode=0o700)
        target = home / manifest.version
        if target.exists():
            shutil.rmtree(target)
        self._copy.rename(target)
        record = _Record(
            manifest.id,
            manifest.version,
            self.digest,
            self.files,
            grants={k: list(v) for k, v in (grants or {}).items()},
            hooks=list(manifest.script.hooks if manifest.script else manifest.hooks),
        )
        _write_record(home / RECORD_NAME, record)
        for other in home.iterdir():
            if other.is_dir() and other != target:
                shutil.rmtree(other)
        return _load(home)

    def close(self) -> None:
        """Remove the copy if it was not committed."""
        shutil.rmtree(self._copy, ignore_errors=True)


def _copy_files(source: Path, target: Path, plugin: str) -> dict[str, str]:
    """Copy what `_files` allows and return a SHA-256 per file, of the bytes that were written."""
    hashes = {}
    left = MAX_BYTES
    for name in _files(source, plugin):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        descriptor = os.open(source / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as reader, (target / name).open("xb") as writer:  # noqa: PTH123 (a descriptor)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise PluginRejected(f"{name} is neither file nor folder", plugin=plugin)
            while chunk := reader.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise PluginRejected(f"has more than {MAX_BYTES >> 20} MiB", plugin=plugin)
                digest.update(chunk)
                writer.write(chunk)
        hashes[name] = digest.hexdigest()
    return hashes


def _write_record(path: Path, record: _Record) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(msgspec.to_builtins(record), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
