"""Bundles a plugin of several files, of TypeScript, or with packages of npm into the one script that V8 runs.

esbuild makes the entry and a source map beside it, through which errors name the author's file (`_source_map.py`). The
same sources give the same bytes: names are relative, and nothing of this machine goes in. A plugin with a
tsconfig.json has its types checked first, against the SDK's declarations.
"""

from __future__ import annotations

import re
import subprocess
from importlib.resources import files
from pathlib import Path

from kubeshark.errors import PluginError
from kubeshark.extension_api._manifest import Manifest
from kubeshark.hosts.js._npm import ESBUILD, TSC, program

__all__ = ["DECLARATIONS", "MAP_SUFFIX", "bundle", "check_types"]

BUILD_SECONDS = 120
DECLARATIONS = "kubeshark.d.ts"
MAP_SUFFIX = ".map"
_ESBUILD_ERROR = re.compile(r"\[ERROR\] (?P<text>[^\n]*)(?:\n\s*\n\s+(?P<where>\S[^\n]*?:\d+:\d+):)?")
_TSC_ERROR = re.compile(r"^(?P<file>[^\n(]+)\((?P<line>\d+),(?P<column>\d+)\): error (?P<text>[^\n]*)", re.MULTILINE)


def bundle(folder: Path, manifest: Manifest) -> None:
    """Make the entry from the manifest's `source`; PluginError names file, line and column of the first mistake."""
    source = folder / manifest.source
    if not source.is_file():
        raise PluginError(f"{manifest.source} is missing", plugin=manifest.label, hint="plugin.toml names it as source")
    esbuild = program(ESBUILD, plugin=manifest.label)
    (folder / manifest.entry).parent.mkdir(parents=True, exist_ok=True)
    done = _run(
        [
            str(esbuild),
            manifest.source,
            "--bundle",
            "--format=iife",
            "--platform=browser",  # no modules of Node: there are no files and no network
            "--target=es2023",
            "--charset=utf8",
            "--sourcemap=external",
            "--sources-content=false",
            "--legal-comments=inline",
            "--log-level=error",
            "--color=false",
            f"--outfile={manifest.entry}",
        ],
        folder,
        manifest,
    )
    if done.returncode:
        found = _ESBUILD_ERROR.search(done.stderr)
        first = f"{found['where']}: {found['text']}" if found and found["where"] else found and found["text"]
        raise _failure(first or "esbuild failed", done.stderr, manifest)


def check_types(folder: Path, manifest: Manifest) -> None:
    """Check the types of a plugin with a tsconfig.json; PluginError names file, line and column of the first mistake.

    Writes kubeshark.d.ts into the folder if it is not this version's: editors find it there, too.
    """
    if not (folder / "tsconfig.json").is_file():
        return
    ours = (files("kubeshark.extension_api") / "sdk" / "js" / DECLARATIONS).read_text("utf-8")
    declarations = folder / DECLARATIONS
    if not declarations.is_file() or declarations.read_text("utf-8", "replace") != ours:
        declarations.write_text(ours, "utf-8")
    tsc = program(TSC, plugin=manifest.label)
    done = _run([str(tsc), "--project", ".", "--noEmit", "--pretty", "false"], folder, manifest)
    if done.returncode:
        found = _TSC_ERROR.search(done.stdout)
        first = f"{found['file']}:{found['line']}:{found['column']}: {found['text']}" if found else ""
        raise _failure(first or done.stdout.strip().partition("\n")[0] or "tsc failed", done.stdout, manifest)


def _run(command: list[str], folder: Path, manifest: Manifest) -> subprocess.CompletedProcess[str]:
    name = Path(command[0]).name
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=BUILD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PluginError(f"{name} cannot be run: {error}", plugin=manifest.label) from error


def _failure(first: str, said: str, manifest: Manifest) -> PluginError:
    failure = PluginError(first, plugin=manifest.label)
    if len(said.strip().splitlines()) > 1:
        failure.add_note(said.strip())
    return failure
