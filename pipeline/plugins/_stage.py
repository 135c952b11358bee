"""Installing: a plugin's files are copied, hashed and checked; the user is asked; then they are put in their place.

Nothing of a plugin is run or compiled. The place is changed last and at once, see `_installed.py`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from kubeshark.errors import PluginRejected, UsageError
from kubeshark.extension_api._manifest import Manifest, read_manifest, version_key
from kubeshark.extension_api._permissions import check_grant
from kubeshark.hosts._artefact import artefact
from kubeshark.packages._archive import unpack
from kubeshark.packages._contents import content_digest, copy_files
from kubeshark.packages._documents import locked, write_document
from kubeshark.packages._fetched import Fetched, local
from kubeshark.packages._lock import check_pin, pin
from kubeshark.packages._signature import Signature, parse_public_key, parse_signature
from kubeshark.packages._trust import read_trust
from kubeshark.packages._web import shown
from kubeshark.pipeline.plugins._install_record import (
    INSTALL_LOCK,
    RECORD_NAME,
    Record,
    pin_of,
    read_record,
    signer_of,
    without_previous,
)
from kubeshark.pipeline.plugins._installed import InstalledPlugin, load_plugin, plugin_path, plugins_folder

__all__ = ["Stage"]

KINDS = ("hosts", "paths", "env")
STAGE_PREFIX = ".stage-"
STALE_S = 24 * 3600.0  # nobody thinks that long about a question


class Stage:
    """A copy of a folder or a package, checked, not yet installed: look at it, ask, then `commit`. Use with `with`.

    `signer` is the name of the trusted key that signed it; if it is empty, `doubt` says why, and it is for the user to
    decide. A signature that is wrong, a digest or a signer other than promised are refused at once.
    """

    def __init__(self, source: Path | Fetched, folder: Path | None = None) -> None:
        """Copy and check; PluginRejected says what is wrong with the source."""
        self.root = folder or plugins_folder()
        self.fetched = source if isinstance(source, Fetched) else local(source)
        path = self.fetched.path
        if path.is_dir():
            _check_here(path, read_manifest(path))  # before anything is copied: the user may have to build it
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sweep(self.root)
        self._copy = Path(tempfile.mkdtemp(prefix=STAGE_PREFIX, dir=self.root))
        try:
            self.files = _bring(path, self._copy, shown(self.fetched.source) if self.fetched.exact else path.name)
            self.manifest = read_manifest(self._copy)  # what we copied is what counts
            _check_here(self._copy, self.manifest)
            self.digest = content_digest(self.files)
            self._check_promises()
            self._keys = read_trust(self.root)
            self._before = self._installed()
            self.signature = (
                parse_signature(self.fetched.signature, self.manifest.id)
                if self.fetched.signature is not None
                else None
            )
            self.signer, self.doubt = signer_of(self.signature, self.manifest, self.digest, self._keys, is_new=True)
            self._check_signer()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def installed_version(self) -> str:
        """The version that this one replaces, "" if there is none."""
        return self._before.version if self._before else ""

    @property
    def installed_signature(self) -> Signature | None:
        """The signature of what this one replaces."""
        return self._before.signature if self._before else None

    @property
    def is_installed(self) -> bool:
        """Whether these very contents are there already."""
        return self._before is not None and self._before.digest == self.digest

    @property
    def inherited_grants(self) -> dict[str, list[str]]:
        """What was granted before and still holds: for the same contents, or for others by the same trusted signer."""
        before = self._before
        if before is None:
            return {}
        is_same_signer = bool(
            self.signer and self.signature and before.signature and before.signature.key == self.signature.key
        )
        if before.digest != self.digest and not is_same_signer:
            return {}
        kept = {
            kind: [value for value in values if self._may_grant(kind, value)] for kind, values in before.grants.items()
        }
        return {kind: values for kind, values in kept.items() if values}

    def _may_grant(self, kind: str, value: str) -> bool:
        try:
            self.check_grants({kind: [value]})
        except UsageError:
            return False
        return True

    def missing_grants(self, grants: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Return what the manifest asks for and is not among `grants`; any grant will do where it asks for `*`."""
        missing = {}
        for kind in KINDS:
            given = grants.get(kind, ())
            asked = getattr(self.manifest.permissions, kind)
            missing[kind] = [value for value in asked if value not in given and not (value == "*" and given)]
        return {kind: values for kind, values in missing.items() if values}

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

    def commit(
        self,
        *,
        grants: Mapping[str, Sequence[str]] | None = None,
        downgrade: bool = False,
        repin: bool = False,
    ) -> InstalledPlugin:
        """Install the copy.

        PluginRejected for an older version than the installed one, unless `downgrade`; for other contents under the
        version that is installed, from a place that `plugin update` asks again, unless `repin`. Where there is a
        `doubt`, whoever calls this has asked the user.
        """
        self.check_grants(grants or {})
        _flush(self._copy)
        with locked(self.root, INSTALL_LOCK):
            self._before = self._installed()  # another command may have been faster
            return self._commit(grants or {}, downgrade=downgrade, repin=repin)

    def _commit(self, grants: Mapping[str, Sequence[str]], *, downgrade: bool, repin: bool) -> InstalledPlugin:
        manifest, before = self.manifest, self._before
        if before and version_key(manifest.version) < version_key(before.version) and not downgrade:
            raise PluginRejected(
                f"{manifest.version} is older than the installed {before.version}",
                plugin=manifest.id,
                hint="install with --downgrade if you mean it",
            )
        if self.fetched.exact and not repin:
            check_pin(self.root, manifest.id, manifest.version, self.digest)
        home = self.root / manifest.id
        home.mkdir(exist_ok=True, mode=0o700)
        place = _free_place(home, manifest.version)
        self._copy.rename(home / place)
        previous = None
        if before:
            previous = before.previous if before.digest == self.digest else without_previous(before)
        record = Record(
            manifest.id,
            manifest.version,
            self.digest,
            self.files,
            {kind: list(values) for kind, values in grants.items()},
            list(manifest.script.hooks if manifest.script else manifest.hooks),
            place,
            self.fetched.source,
            self.fetched.exact or self.fetched.source,
            self.signature,
            bool(self.doubt),
            previous,
        )
        write_document(home / RECORD_NAME, record)
        pin(self.root, manifest.id, pin_of(record))
        for other in home.iterdir():
            if other.is_dir() and other.name not in (place, previous.place if previous else ""):
                shutil.rmtree(other)
        return load_plugin(home, self._keys)

    def close(self) -> None:
        """Remove the copy if it was not committed."""
        shutil.rmtree(self._copy, ignore_errors=True)

    def _installed(self) -> Record | None:
        path = plugin_path(self.manifest.id, self.root)
        if path is None:
            return None
        try:
            return read_record(path)
        except (OSError, msgspec.DecodeError, ValueError):
            return None  # installing again heals it

    def _check_promises(self) -> None:
        """Compare with what was said of it where it came from."""
        fetched, plugin = self.fetched, self.manifest.id
        if fetched.wanted and fetched.wanted != plugin:
            raise PluginRejected(f"is not the {fetched.wanted} that was asked for", plugin=plugin)
        if fetched.digest and fetched.digest != self.digest:
            raise PluginRejected(
                f"its contents are sha256:{self.digest[:16]}…, and sha256:{fetched.digest[:16]}… was promised",
                plugin=plugin,
                hint="ask its author, or who keeps the index or lock file",
            )

    def _check_signer(self) -> None:
        """Whoever is named by the index signed it, whether or not that key is trusted here."""
        signer = self.signature.key if self.signature else ""
        if self.fetched.signer and signer != parse_public_key(self.fetched.signer):
            raise PluginRejected(
                "is not signed by the key that the index or lock file names",
                plugin=self.manifest.id,
                hint="ask whoever keeps it",
            )


def _bring(source: Path, target: Path, name: str) -> dict[str, str]:
    """Bring a plugin's files into a folder of ours, each hashed; another form of a plugin would be brought here."""
    return copy_files(source, target, name) if source.is_dir() else unpack(source, target, name)


def _flush(folder: Path) -> None:
    """Wait until the files are on the disk: the record that names them is written after them."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(root: Path) -> None:
    """Remove what an installation left that was killed."""
    for path in root.glob(f"{STAGE_PREFIX}*"):
        try:
            is_old = time.time() - path.stat().st_mtime > STALE_S
        except OSError:
            continue
        if is_old:
            shutil.rmtree(path, ignore_errors=True)


def _check_here(folder: Path, manifest: Manifest) -> None:
    """Refuse what is no plugin for this machine."""
    if manifest.language == "python":
        raise PluginRejected(
            "a Python plugin is a package",
            plugin=manifest.id,
            hint='pip install it; its entry point is in "kubeshark.plugins"',
        )
    artefact(folder, manifest)


def _free_place(home: Path, version: str) -> str:
    """Return a folder's name for a version: another one if these contents replace others of the same version."""
    names: Iterable[str] = (version, *(f"{version}~{number}" for number in range(2, 1000)))
    return next(name for name in names if not (home / name).exists())
