"""Plugins and keys for the tests of packages."""

from __future__ import annotations

from pathlib import Path

from kubeshark.packages._archive import pack
from kubeshark.packages._keys import create_key, public_key, sign

MANIFEST = """
id = "{plugin}"
version = "{version}"
abi = 1
language = "js"
entry = "plugin.js"
hooks = ["render"]
description = "Shows {plugin}"
{more}
"""


def make_folder(place: Path, plugin: str = "demo", version: str = "1.0.0", more: str = "", code: str = "") -> Path:
    """Make a plugin's folder; its code must not run."""
    folder = place / f"{plugin}-{version}"
    (folder / "lib").mkdir(parents=True, exist_ok=True)
    (folder / "plugin.toml").write_text(MANIFEST.format(plugin=plugin, version=version, more=more))
    (folder / "plugin.js").write_text(code or "throw new Error('must not run')")
    (folder / "lib" / "help.js").write_text("// help\n")
    return folder


def make_package(
    place: Path,
    plugin: str = "demo",
    version: str = "1.0.0",
    *,
    key: Path | None = None,
    more: str = "",
    code: str = "",
) -> Path:
    """Make a package, signed if there is a key file."""
    package = place / f"{plugin}-{version}.ksp"
    digest = pack(make_folder(place, plugin, version, more, code), package, plugin)
    if key:
        from kubeshark.packages._keys import load_key

        signature = sign(load_key(key), plugin, version, digest)
        package.with_name(f"{package.name}.sig").write_bytes(signature.to_bytes())
    return package


def make_key(path: Path) -> str:
    """Make a key file; return the public key."""
    return public_key(create_key(path))
