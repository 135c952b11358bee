"""Builds a JavaScript plugin: a script is loaded, to find what is wrong; what has a `source` is bundled first."""

from __future__ import annotations

from pathlib import Path

from kubeshark.errors import PluginError
from kubeshark.extension_api._manifest import Manifest
from kubeshark.hosts._children import Child, ChildError
from kubeshark.hosts.js._bundle import bundle, check_types

__all__ = ["build", "check"]

START_SECONDS = 30.0


def build(folder: Path, manifest: Manifest) -> None:
    """Check types, bundle, load: as far as the plugin has something for each. PluginError says what is wrong where."""
    if manifest.source:
        check_types(folder, manifest)
        bundle(folder, manifest)
    check(folder, manifest)


def check(folder: Path, manifest: Manifest) -> None:
    """Load the script in the sandbox; PluginError says where it fails, or which callbacks the manifest lacks."""
    try:
        child = Child(folder, manifest.language, manifest.limits.memory_mb, START_SECONDS)
    except ChildError as error:
        raise PluginError(error.reason, plugin=manifest.label) from error
    child.end()
    if child.hooks != manifest.hook_bits:
        message = f"registers the hooks {child.hooks:#x}, plugin.toml declares {manifest.hook_bits:#x}"
        raise PluginError(message, plugin=manifest.label, hint="kubeshark.plugin({...}) and `hooks` must agree")
