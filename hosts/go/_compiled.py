"""WebAssembly to native code, once per module, machine and wasmtime: compiling takes seconds and half a gigabyte.

The compiler reads a stranger's bytes, so it runs in a process of its own (`python -m kubeshark.hosts.go._compiled`:
module on stdin, native code on stdout), which is confined like a plugin before it reads one of them. The embedding side
keeps the result in a folder of the user's; plugins cannot write there, and what they bring along is never taken for it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import wasmtime

from kubeshark.errors import PluginRejected
from kubeshark.extension_api._manifest import Manifest
from kubeshark.hosts._cache import is_ours, users_cache
from kubeshark.hosts._sandbox import THREADS, Profile, confine, seal
from kubeshark.hosts._seccomp import ALLOW, Rule
from kubeshark.hosts.go._engine import MAX_MODULE_BYTES, SETTINGS, new_engine

__all__ = ["compiled_file", "read_compiled"]

COMPILE_SECONDS = 300.0  # 2 s on an idle core, 30 on a crowded one
COMPILE_MB = 3072
SANDBOX = Profile(
    syscalls={
        **THREADS,
        # How many threads? It looks at its control group first; let it be told off, and ask the scheduler.
        "openat": Rule(errno=errno.EACCES),
        "sched_getaffinity": ALLOW,
    },
    threads=True,
    limits_address_space=False,
)
DIGEST_BYTES = 32  # SHA-256 of what follows it in the file


def compiled_file(folder: Path, manifest: Manifest, cache: Path | None = None) -> Path:
    """Return the file with the native code of the plugin in `folder`; compile it if it is not there.

    `cache` defaults to a folder in the user's cache. Raise PluginRejected for what cannot be compiled or kept.
    """
    try:
        wasm = (folder / manifest.entry).read_bytes()
    except OSError as error:
        hint = "run `kubeshark plugin build`" if isinstance(error, FileNotFoundError) else ""
        message = f"{manifest.entry} cannot be read: {error.strerror}"
        raise PluginRejected(message, plugin=manifest.label, hint=hint) from error
    try:
        file = (cache or users_cache("wasm")) / f"{_key(wasm)}.cwasm"
        if not is_ours(file):
            native = _compile_apart(wasm, manifest)
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as partial:
                partial.write(hashlib.sha256(native).digest() + native)
            Path(partial.name).replace(file)
    except (OSError, RuntimeError) as error:  # the latter: no home
        message = f"its native code cannot be kept: {error}"
        raise PluginRejected(message, plugin=manifest.label, hint="set XDG_CACHE_HOME to a folder of yours") from error
    return file


def read_compiled(file: Path) -> bytes:
    """Return the native code in a file that `compiled_file` named; ValueError if it was damaged since."""
    data = file.read_bytes()
    native = data[DIGEST_BYTES:]
    if hashlib.sha256(native).digest() != data[:DIGEST_BYTES]:
        raise ValueError(f"{file} is damaged: delete it")
    return native


def _key(wasm: bytes) -> str:
    """Digest of everything that decides the native code."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:  # noqa: PTH123 - one line of many
        cpu = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    digest = hashlib.sha256(f"{version('wasmtime')}\0{SETTINGS}\0{platform.machine()}\0{cpu}\0".encode())
    digest.update(wasm)
    return digest.hexdigest()


def _compile_apart(wasm: bytes, manifest: Manifest) -> bytes:
    if len(wasm) > MAX_MODULE_BYTES:
        raise PluginRejected(f"{manifest.entry} is larger than {MAX_MODULE_BYTES:,} bytes", plugin=manifest.label)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "kubeshark.hosts.go._compiled"],
            input=wasm,
            capture_output=True,
            env={},
            cwd="/",
            timeout=COMPILE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{manifest.entry} takes more than {COMPILE_SECONDS:.0f} s to compile"
        raise PluginRejected(message, plugin=manifest.label) from error
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0] or f"status {done.returncode}"
        message = f"{manifest.entry} is not a WebAssembly module that can be compiled: {reason}"
        raise PluginRejected(message, plugin=manifest.label)
    return done.stdout


def _main() -> int:
    """The compiling process."""
    engine = new_engine(threads=True)
    confine(SANDBOX, COMPILE_MB)
    wasm = sys.stdin.buffer.read(MAX_MODULE_BYTES + 1)
    try:
        native = wasmtime.Module(engine, wasm).serialize()
    except wasmtime.WasmtimeError as error:
        sys.stderr.write(str(error).strip())
        return 1
    seal(SANDBOX)
    sys.stdout.buffer.write(native)
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    status = _main()
    os._exit(status)  # the compiler's threads have no part in an orderly end
