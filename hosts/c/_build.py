"""Builds a C or C++ plugin: the system's compiler if there is one, else Zig's from PyPI (`pip install ziglang`).

The same sources, headers and compiler give the same bytes: no build id, no path, no time goes in. Beside the object
lies a table of its lines (`_lines.py`), which names the place where it crashes.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from kubeshark.errors import PluginError, UsageError
from kubeshark.extension_api._manifest import Manifest
from kubeshark.hosts._artefact import TARGETS, object_for
from kubeshark.hosts.c._lines import LINES_SUFFIX, make_table

__all__ = ["BUILD_SECONDS", "OLDEST_GLIBC", "build", "build_targets", "compiler", "sdk_folder"]

BUILD_SECONDS = 900  # Zig compiles a machine's C++ library the first time: a minute of CPU
NOTE_AFTER_SECONDS = 10
FIRST_CPP = (
    "Zig has no C++ library made: it compiles one, once for each machine that is built for, which takes some minutes; "
    "a compiler of the system (g++, clang++) has one\n"
)
OLDEST_GLIBC = "2.28"  # of Debian 10 and RHEL 8: what objects for other machines may need

_FLAGS = (
    "-shared",
    "-fPIC",
    "-O3",  # a dissector of HTTP heads takes 7 % less time than with -O2
    "-g1",  # tables of lines, and which call was put in line
    "-gdwarf-4",  # the newest that every compiler and pyelftools read and write alike
    "-fasynchronous-unwind-tables",
    "-fvisibility=hidden",
    "-fstack-protector-strong",
    "-D_FORTIFY_SOURCE=2",
    "-Wall",
    "-Wextra",
    "-Wl,--build-id=none",
    "-Wl,-z,relro,-z,now",
    "-Wl,-z,noexecstack",
)
_LANGUAGES = {
    # language: (suffixes, standard, compilers of the system, Zig's command)
    "c": ((".c",), "-std=c11", ("cc", "gcc", "clang"), "cc"),
    "cpp": ((".cpp", ".cc", ".cxx"), "-std=c++17", ("c++", "g++", "clang++"), "c++"),
}


def sdk_folder() -> Path:
    """Return the folder of kubeshark_plugin.h."""
    return Path(str(files("kubeshark.extension_api"))) / "sdk" / "c"


def compiler(language: str) -> list[str]:
    """Return the command of a compiler for `c` or `cpp`; [] if there is none."""
    _, _, names, zig = _LANGUAGES[language]
    for name in names:
        if shutil.which(name):
            return [name]
    return [sys.executable, "-m", "ziglang", zig] if importlib.util.find_spec("ziglang") else []


def build_targets(folder: Path, manifest: Manifest, targets: Sequence[str]) -> Iterator[Path]:
    """Compile an object for each machine, with Zig, which has every machine's headers; the entry itself goes.

    Each is there when it is yielded.
    """
    if unknown := sorted(set(targets) - TARGETS.keys()):
        raise UsageError(f"there is no target {unknown[0]!r}", hint=f"there are {', '.join(TARGETS)}")
    if not importlib.util.find_spec("ziglang"):
        raise PluginError("other machines' objects are built by Zig", plugin=manifest.id, hint="pip install ziglang")
    zig = [sys.executable, "-m", "ziglang", _LANGUAGES[manifest.language][3]]
    for target in dict.fromkeys(targets):
        command = [*zig, "-target", f"{target}-gnu.{OLDEST_GLIBC}"]
        yield build(folder, manifest, command, object_for(manifest.entry, target), targets)


def build(
    folder: Path,
    manifest: Manifest,
    command: list[str] | None = None,
    output: str = "",
    kept: Collection[str] = (),
) -> Path:
    """Compile the sources of `folder` and `folder`/src into `output`, the entry if it is not given.

    Objects of an earlier build go, except those for the machines in `kept`: which of two would be loaded?
    PluginError shows the compiler's text.
    """
    suffixes, standard, _, _ = _LANGUAGES[manifest.language]
    command = command or compiler(manifest.language)
    if not command:
        raise PluginError(
            f"no {manifest.language} compiler is installed",
            plugin=manifest.id,
            hint="pip install ziglang, or install gcc",
        )
    sources = sorted(
        path.relative_to(folder)
        for place in (folder, folder / "src")
        for path in place.glob("*")
        if path.suffix in suffixes
    )
    if not sources:
        raise PluginError(f"{folder} has no {' or '.join(suffixes)} file", plugin=manifest.id)
    output = output or manifest.entry
    entry = folder / output
    for stale in (manifest.entry, *(object_for(manifest.entry, target) for target in TARGETS.keys() - set(kept))):
        if stale != output:
            (folder / stale).unlink(missing_ok=True)
            (folder / f"{stale}{LINES_SUFFIX}").unlink(missing_ok=True)
    entry.parent.mkdir(parents=True, exist_ok=True)
    # Relative names, run inside the folder: no path of this machine gets into the object.
    sdk = sdk_folder()
    names = [f"-ffile-prefix-map={folder.resolve()}=.", f"-ffile-prefix-map={sdk}=/kubeshark"]
    same = ["-x", "c++"] if manifest.language == "cpp" else []  # C++ compilers are asked to compile one language
    inputs = [*map(str, sources), *same, str(sdk / "kubeshark_crash.c")]
    arguments = [*command, *_FLAGS, standard, *names, f"-I{sdk}", "-o", output, *inputs]
    if manifest.language == "cpp":
        arguments += ["-static-libstdc++", "-static-libgcc"]
    try:
        done = _compiled(arguments, folder, is_zig_cpp="ziglang" in command and manifest.language == "cpp")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PluginError(f"{command[0]} cannot be run: {error}", plugin=manifest.id) from error
    if done.returncode != 0:
        raise _failure(done.stderr, manifest)
    table = folder / f"{output}{LINES_SUFFIX}"
    try:
        table.write_bytes(msgspec.json.encode(make_table(entry)) + b"\n")
    except ValueError as error:  # another compiler's own ways: crashes have no names
        table.unlink(missing_ok=True)
        sys.stderr.write(f"no table of lines could be made of {output}: {error}\n")
    return entry


def _compiled(arguments: Sequence[str], folder: Path, *, is_zig_cpp: bool) -> subprocess.CompletedProcess[str]:
    """Run a compiler; say what Zig does where that takes long."""
    with subprocess.Popen(arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            try:
                said = process.communicate(timeout=NOTE_AFTER_SECONDS if is_zig_cpp else BUILD_SECONDS)
            except subprocess.TimeoutExpired:
                if not is_zig_cpp:
                    raise
                sys.stderr.write(FIRST_CPP)
                said = process.communicate(timeout=BUILD_SECONDS)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(arguments, process.returncode, *said)


def _failure(said: str, manifest: Manifest) -> PluginError:
    """The first mistake as message, `plugin.c:3:5: error: …`; all that the compiler said as note."""
    lines = [line for line in said.splitlines() if line.strip()]
    first = next((line for line in lines if "error:" in line), lines[0] if lines else "the compiler failed")
    failure = PluginError(first[:400], plugin=manifest.id)
    failure.add_note("\n".join(lines[:200]))
    return failure
