"""Runs a plugin compiled to WebAssembly (Go) on wasmtime.

Invariants:

1. A pointer or length that comes out of the module is checked against its memory before use; the address of that
   memory is asked for anew after every call, because growing moves it.
2. Nothing in here ends an endless loop: the embedding side does, which kills the process at the deadline of each batch.
   WebAssembly that looks at a deadline itself takes a fifth longer (ADR 43).
3. After a trap the instance refuses to be called: it would still answer, from a broken state.
4. `deserialize` takes native code as it is: only what `_compiled.py` made and the embedding side kept goes in.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from wasmtime import Engine, Func, Linker, Memory, Module, Store, Trap, TrapCode, WasmtimeError

from kubeshark.extension_api._frame import ABI_VERSION
from kubeshark.extension_api._manifest import Manifest
from kubeshark.hosts._asking import Asker
from kubeshark.hosts._instance import InstanceError
from kubeshark.hosts._sandbox import Profile
from kubeshark.hosts._seccomp import Rule
from kubeshark.hosts.go._calls import EXPORTS, bind
from kubeshark.hosts.go._compiled import read_compiled
from kubeshark.hosts.go._engine import MAX_MODULE_BYTES, new_engine
from kubeshark.hosts.go._wasi import Exited, Wasi

__all__ = ["SANDBOX", "GoInstance", "Prepared", "open_instance", "prepare"]

MAX_FRAMES = 64
SANDBOX = Profile(
    syscalls={"openat": Rule(errno=errno.EACCES)},  # malloc asks the kernel's settings when a heap shrinks
    limits_address_space=False,
    overhead_mb=64,
)

_T = TypeVar("_T")


class Prepared(Struct, frozen=True):
    engine: Engine
    wasm: bytes  # empty if there is native code
    native: bytes


def prepare(folder: Path, manifest: Manifest, compiled: Path | None = None) -> Prepared:
    """Read native code from a file that `compiled_file` named, or the module, which is then compiled (seconds)."""
    try:
        if compiled is not None:
            return Prepared(new_engine(), b"", read_compiled(compiled))
        with (folder / manifest.entry).open("rb") as file:
            wasm = file.read(MAX_MODULE_BYTES + 1)
    except OSError as error:
        raise InstanceError(f"{manifest.entry} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InstanceError(str(error)) from error
    if len(wasm) > MAX_MODULE_BYTES:
        raise InstanceError(f"{manifest.entry} is larger than {MAX_MODULE_BYTES:,} bytes")
    return Prepared(new_engine(), wasm, b"")


def open_instance(prepared: Prepared, manifest: Manifest) -> GoInstance:
    """Load or compile the module and start it; its package initialisers run here."""
    try:
        if prepared.native:
            module = Module.deserialize(prepared.engine, prepared.native)
        else:
            module = Module(prepared.engine, prepared.wasm)
    except WasmtimeError as error:
        raise InstanceError(f"not a WebAssembly module: {_one_line(str(error))}") from error
    return GoInstance(prepared.engine, module, manifest)


class GoInstance:
    """One instance; see `kubeshark.hosts._instance.Instance`."""

    def __init__(self, engine: Engine, module: Module, manifest: Manifest) -> None:
        self._store: Store | None = Store(engine)
        memory = manifest.limits.memory_mb << 20
        self._store.set_limits(memory_size=memory, table_elements=1 << 20, instances=1, memories=1)
        self._asker = Asker(None, 0)
        self._wasi = Wasi(self._ask)
        try:
            self._start(engine, module, self._store)
        except BaseException:
            self.close()
            raise

    def _start(self, engine: Engine, module: Module, store: Store) -> None:
        linker = Linker(engine)
        self._wasi.define(linker, module)
        exports = self._run(lambda: linker.instantiate(store, module)).exports(store)
        found = {name: exports.get(name) for name in ("memory", "_initialize", *EXPORTS)}
        missing = [name for name, export in found.items() if export is None]
        memory, initialize = found["memory"], found["_initialize"]
        if missing or not isinstance(memory, Memory) or not isinstance(initialize, Func):
            raise InstanceError(f"the module lacks {', '.join(missing)}: build it with kubeshark's Go SDK")
        self._memory = memory
        calls = {name: bind(store, name, found[name]) for name in EXPORTS}
        self._reserve, self._call, self._out = calls["ks_reserve"], calls["ks_call"], calls["ks_out"]
        self._run(lambda: initialize(store))
        abi = self._run(calls["ks_abi"])
        if abi != ABI_VERSION:
            raise InstanceError(f"the module speaks ABI {abi}, not {ABI_VERSION}: build it with this version's SDK")
        self.hooks = self._run(calls["ks_hooks"])

    def connect(self, asker: Asker) -> None:
        """See `Instance.connect`."""
        self._asker = asker

    def _ask(self, request: bytes) -> bytes:
        return self._asker.ask(request)

    def call(self, hook: int, frame: memoryview, out: memoryview) -> int:
        """Copy the frame in, call, copy the result out."""
        return self._run(lambda: self._exchange(hook, frame, out))

    def _exchange(self, hook: int, frame: memoryview, out: memoryview) -> int:
        at = self._reserve(len(frame))
        self._view(at, len(frame), "input buffer")[:] = frame
        written = self._call(hook, len(frame))
        if written == 0:
            raise InstanceError(self._said() or "the plugin answered failure")
        if written > len(out):
            raise InstanceError(f"a result of {written:,} bytes; at most {len(out):,} are taken")
        out[:written] = self._view(self._out(), written, "result")
        return written

    def _view(self, at: int, length: int, what: str) -> memoryview:
        """Return memory[at : at + length]; valid until the next call into the module."""
        assert self._store is not None
        if at == 0 or at + length > self._memory.data_len(self._store):
            raise InstanceError(f"the {what} lies outside the module's memory")
        return memoryview(self._memory.get_buffer_ptr(self._store, length, at)).cast("B")

    def _run(self, work: Callable[[], _T]) -> _T:
        """Run something that enters the module; every way to fail becomes an InstanceError and closes the instance."""
        if self._store is None:
            raise InstanceError("the plugin's instance is closed")
        try:
            return work()
        except Trap as trap:
            self.close()
            raise InstanceError(self._explain(trap)) from trap
        except Exited as error:
            self.close()
            raise InstanceError(self._said() or str(error)) from error
        except (WasmtimeError, IndexError, KeyError) as error:  # the last two: host functions given bad pointers
            self.close()
            raise InstanceError(_one_line(str(error))) from error
        except InstanceError:
            self.close()
            raise

    def _explain(self, trap: Trap) -> str:
        code = trap.trap_code
        if code is TrapCode.STACK_OVERFLOW:
            return f"called itself too deeply{_where(trap)}"
        said = self._said()
        return said or (f"trap: {code.name.lower().replace('_', ' ')}" if code else _one_line(trap.message))

    def _said(self) -> str:
        """Return the first line the plugin printed; Go's runtime prints why it gives up."""
        text = self._wasi.stderr.decode("utf-8", "replace")
        return _one_line(text)

    def close(self) -> None:
        """Free the instance."""
        if self._store is not None:
            self._store.close()
            self._store = None


def _where(trap: Trap) -> str:
    """Return ` in main.deeper`: the innermost function that is neither Go's runtime nor nameless."""
    names = (frame.func_name or "" for frame in trap.frames[:MAX_FRAMES])
    name = next((name for name in names if name and not name.startswith(("runtime.", "gosave", "wasm_"))), "")
    return f" in {_one_line(name)}" if name else ""


def _one_line(text: str) -> str:
    line = text.strip().partition("\n")[0][:300]
    return "".join(char if char.isprintable() else "?" for char in line)
