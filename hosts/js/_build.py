"""A JavaScript plugin needs no building; what can be wrong with it is found by loading it."""

from __future__ import annotations

from pathlib import Path

from kubeshark.errors import PluginError
from kubeshark.extension_api._manifest import Manifest
from kubeshark.hosts._children import Child, ChildError

__all__ = ["check"]

START_SECONDS = 30.0


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
