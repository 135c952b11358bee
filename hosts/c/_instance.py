"""Runs a plugin compiled to a shared object (C, C++), in the sandboxed child.

The object is copied into a sealed memory file before the sandbox is up, and loaded from there after: the loader opens
nothing else, because the system libraries that a plugin may need are in the process already. A plugin that needs
another library links it statically.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from pathlib import Path
from typing import Any

from cffi import FFI
from msgspec import Struct

from kubeshark.errors import PluginRejected
from kubeshark.extension_api._frame import ABI_VERSION
from kubeshark.extension_api._manifest import Manifest
from kubeshark.extension_api._services import MAX_MESSAGE
from kubeshark.hosts._artefact import artefact
from kubeshark.hosts._asking import Asker
from kubeshark.hosts._instance import InstanceError
from kubeshark.hosts._sandbox import READ_ONLY, Profile
from kubeshark.hosts._seccomp import ALLOW

__all__ = ["SANDBOX", "CInstance", "Prepared", "open_instance", "prepare", "watch_loading"]

MAX_OBJECT_BYTES = 64 << 20
_CRASH_AT = "KUBESHARK_CRASH"
ASK_SLACK = 4096  # what is larger is refused with words, up to here
_SYSTEM_LIBRARIES = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libgcc_s.so.1")
_CPP_LIBRARIES = ("libstdc++.so.6",)

SANDBOX = Profile(
    loading={
        "openat": READ_ONLY,  # Landlock leaves only the memory file to open
        "fstat": ALLOW,
        "getcwd": ALLOW,
        "newfstatat": ALLOW,
        "pread64": ALLOW,
    },
    needs_landlock=True,
)

_FFI = FFI()
_FFI.cdef(
    """
    uint32_t ks_abi(void);
    uint32_t ks_hooks(void);
    void ks_crash(uint8_t *record, uint64_t size);
    void ks_connect(int64_t (*ask)(const uint8_t *, uint64_t, const uint8_t **));
    int64_t ks_call(uint32_t hook, const uint8_t *in, uint64_t in_len, uint8_t *out, uint64_t out_cap);
    """
)
# Parsing happens at first use: here, so that every child inherits the result.
_ASK = "int64_t(*)(const uint8_t *, uint64_t, const uint8_t **)"
_FFI.typeof(_ASK)
_FFI.typeof("int64_t(*)(uint32_t, const uint8_t *, uint64_t, uint8_t *, uint64_t)")


class Asking:
    """The function that a plugin asks with; made before the sandbox is up, because making it needs code pages."""

    def __init__(self) -> None:
        self.asker: Asker | None = None
        self._answer: Any = None  # kept until the next request
        self.function = _FFI.callback(_ASK, self._ask, error=-1)

    def _ask(self, request: Any, length: int, answer: Any) -> int:
        if self.asker is None or length > MAX_MESSAGE + ASK_SLACK:
            return -1
        said = self.asker.ask(_FFI.buffer(request, length)[:])
        self._answer = _FFI.from_buffer("uint8_t[]", said)
        answer[0] = self._answer
        return len(said)


class Prepared(Struct, frozen=True):
    descriptor: int  # of a sealed memory file that holds the object
    asking: Asking


def prepare(folder: Path, manifest: Manifest) -> Prepared:
    """Copy the object into memory, where nobody can change it any more."""
    try:
        name = artefact(folder, manifest)
        with (folder / name).open("rb") as file:
            data = file.read(MAX_OBJECT_BYTES + 1)
    except PluginRejected as error:
        raise InstanceError(error.message) from error
    except OSError as error:
        raise InstanceError(f"{manifest.entry} cannot be read: {error.strerror}") from error
    if len(data) > MAX_OBJECT_BYTES:
        raise InstanceError(f"{name} is larger than {MAX_OBJECT_BYTES:,} bytes")
    for name in _SYSTEM_LIBRARIES + (_CPP_LIBRARIES if manifest.language == "cpp" else ()):
        try:
            ctypes.CDLL(name, ctypes.RTLD_GLOBAL)  # global: a crash is unwound with what is there
        except OSError:
            continue  # another libc: a plugin that needs it will say so when it is loaded
    descriptor = os.memfd_create("plugin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as memory:
        memory.write(data)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return Prepared(descriptor, Asking())


def watch_loading(result: memoryview) -> None:
    """Let the object say where it crashed while it is loaded; it finds the place in its environment until then."""
    os.environ[_CRASH_AT] = f"{int(_FFI.cast('uintptr_t', _FFI.from_buffer(result))):x}"


def open_instance(prepared: Prepared, manifest: Manifest) -> CInstance:
    """Load the object; its constructors run here."""
    path = f"/proc/self/fd/{prepared.descriptor}"
    try:
        # By ctypes, which only calls dlopen: cffi looks elsewhere, with ldconfig and a compiler, if that fails.
        loaded = ctypes.CDLL(path, os.RTLD_NOW | os.RTLD_LOCAL)
        os.environ.pop(_CRASH_AT, None)
        library: Any = _FFI.dlopen(_FFI.cast("void *", loaded._handle))  # pyright: ignore[reportArgumentType]
        abi, hooks, call = library.ks_abi, library.ks_hooks, library.ks_call
    except (OSError, AttributeError) as error:
        message = str(error).replace(path, manifest.entry)
        raise InstanceError(f"cannot be loaded: {message.splitlines()[0]}") from error
    if abi() != ABI_VERSION:
        raise InstanceError(f"is of ABI {abi()}, not {ABI_VERSION}: build it with this version's SDK")
    try:
        crash = library.ks_crash
    except AttributeError:  # not built with `kubeshark plugin build`
        crash = None
    try:
        connect = library.ks_connect
    except AttributeError:  # built with an SDK that could not ask
        connect = None
    return CInstance(int(hooks()), call, crash, prepared.asking, connect)


class CInstance:
    """A loaded object."""

    def __init__(
        self, hooks: int, call: Any, crash: Any = None, asking: Asking | None = None, connect: Any = None
    ) -> None:
        self.hooks = hooks
        self._asking = asking
        self._connect = connect
        self._call = call
        self._crash = crash
        self._out: tuple[memoryview, Any] | None = None

    def connect(self, asker: Asker) -> None:
        """See `Instance.connect`."""
        if self._connect and self._asking:
            self._asking.asker = asker
            self._connect(self._asking.function)

    def call(self, hook: int, frame: memoryview, out: memoryview) -> int:
        """See `Instance.call`."""
        if self._out is None or self._out[0] is not out:
            self._out = out, _FFI.from_buffer("uint8_t[]", out, require_writable=True)
            if self._crash:
                self._crash(self._out[1], len(out))
        written = self._call(hook, _FFI.from_buffer("uint8_t[]", frame), len(frame), self._out[1], len(out))
        if written > 0:
            return int(written)
        if written == 0:
            raise InstanceError("ks_call failed")
        raise InstanceError(f"a result of {-written:,} bytes is over the limit of {len(out):,}")

    def close(self) -> None:
        """Nothing to free: the process ends. Unloading would run destructors for nothing."""
