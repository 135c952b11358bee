"""Looks into a package without installing it: for who signs, pushes and lists it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from msgspec import Struct

from kubeshark.extension_api._manifest import Manifest, read_manifest
from kubeshark.packages._archive import unpack
from kubeshark.packages._contents import content_digest
from kubeshark.packages._fetched import local
from kubeshark.packages._signature import Signature, parse_signature, verify

__all__ = ["Inspected", "inspect"]


class Inspected(Struct, frozen=True):
    """A package that is whole; `signature` fits it, if there is one."""

    manifest: Manifest
    digest: str
    signature: Signature | None

    @property
    def file_name(self) -> str:
        return f"{self.manifest.id}-{self.manifest.version}.ksp"


def inspect(package: Path, *, ignore_signature: bool = False) -> Inspected:
    """Check a package and the signature beside it; PluginRejected says what is wrong."""
    with tempfile.TemporaryDirectory(prefix="kubeshark-package-") as folder:
        digest = content_digest(unpack(package, Path(folder), package.name))
        manifest = read_manifest(Path(folder))
    signature = None
    data = None if ignore_signature else local(package).signature
    if data is not None:
        signature = parse_signature(data, manifest.id)
        verify(signature, manifest.id, manifest.version, digest)
    return Inspected(manifest, digest, signature)
