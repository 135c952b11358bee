"""Builds a plugin in whatever language it is written."""

from __future__ import annotations

from pathlib import Path

from kubeshark.errors import PluginError
from kubeshark.extension_api._manifest import LANGUAGES, Manifest

__all__ = ["build_plugin"]


def build_plugin(folder: Path, manifest: Manifest) -> None:
    """Compile the plugin in `folder` into its entry, or check it where there is nothing to compile; or PluginError."""
    if manifest.language not in LANGUAGES:
        from kubeshark.hosts._languages import added_host

        build_added = getattr(added_host(manifest.language), "build", None)
        if build_added:
            build_added(folder, manifest)
        return
    match manifest.language:
        case "c" | "cpp":
            from kubeshark.hosts.c._build import build

            build(folder, manifest)
        case "go":
            from kubeshark.hosts.go._build import build as build_go
            from kubeshark.hosts.go._compiled import compiled_file

            build_go(folder, manifest, cache=Path.home() / ".cache" / "kubeshark" / "go")
            compiled_file(folder, manifest)  # to machine code, in a sandbox: seconds that the first query would pay
        case "js":
            from kubeshark.hosts.js._build import build as build_js

            build_js(folder, manifest)
        case "python":
            entry = folder / manifest.entry
            try:
                compile(entry.read_bytes(), str(entry), "exec")
            except (OSError, ValueError, SyntaxError) as error:
                raise PluginError(f"{manifest.entry}: {error}", plugin=manifest.label) from error
