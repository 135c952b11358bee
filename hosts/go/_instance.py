"""Runs a plugin compiled to WebAssembly (Go) on wasmtime.

Invariants:

1. A pointer or length that comes out of the module is checked against its memory before use; the address of that
   memory is asked for anew after every call, because growing moves it.
2. Every call has an epoch deadline; a thread advances the epoch while a call runs.
3. After a trap the instance refuses to be called: it would still answer, from a broken state.
4. `deserialize` takes native code as it is: only what `_compiled.py` made and the embedding side kept goes in.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from wasmtime import Engine, Func, Linker, Memory, Module, Store, Trap, TrapCode, WasmtimeError

from kubeshark.extension_api._frame import ABI_VERSION
from kubeshark.extension_api._manifest import Manifest
from kubeshark.hosts._asking import Asker
from kubeshark.hosts._instance import InstanceError
from kubeshark.hosts._sandbox import THREADS, Profile
from kubeshark.hosts._seccomp import Rule
from kubeshark.hosts.go._calls import EXPORTS, bind
from kubeshark.hosts.go._compiled import read_compiled
from kubeshark.hosts.go._engine import MAX_MODULE_BYTES, new_engine
from kubeshark.hosts.go._wasi import Exited, Wasi

__all__ = ["SANDBOX", "GoInstance", "Prepared", "open_instance", "prepare"]

TICK_SECONDS = 0.02
MAX_FRAMES = 64
START_SECONDS = 5.0  # for package initialisers: a small part of a second in practice
SANDBOX = Profile(
    syscalls={**THREADS, "openat": Rule(errno=errno.EACCES)},  # malloc asks the kernel's settings when a heap shrinks
    threads=True,
    limits_address_space=False,
    overhead_mb=64,
)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Prepared:
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
        self._ticker = _Ticker(engine)
        self._ticks = _ticks(manifest.limits.batch_ms / 1000)
        self._limit_mb = manifest.limits.memory_mb
        self._store: Store | None = Store(engine)
        self._store.set_limits(memory_size=self._limit_mb << 20, table_elements=1 << 20, instances=1, memories=1)
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
        exports = self._run(_ticks(START_SECONDS), lambda: linker.instantiate(store, module)).exports(store)
        found = {name: exports.get(name) for name in ("memory", "_initialize", *EXPORTS)}
        missing = [name for name, export in found.items() if export is None]
        memory, initialize = found["memory"], found["_initialize"]
        if missing or not isinstance(memory, Memory) or not isinstance(initialize, Func):
            raise InstanceError(f"the module lacks {', '.join(missing)}: build it with kubeshark's Go SDK")
        self._memory = memory
        calls = {name: bind(store, name, found[name]) for name in EXPORTS}
        self._reserve, self._call, self._out = calls["ks_reserve"], calls["ks_call"], calls["ks_out"]
        self._run(_ticks(START_SECONDS), lambda: initialize(store))
        abi = self._run(self._ticks, calls["ks_abi"])
        if abi != ABI_VERSION:
            raise InstanceError(f"the module speaks ABI {abi}, not {ABI_VERSION}: build it with this version's SDK")
        self.hooks = self._run(self._ticks, calls["ks_hooks"])

    def connect(self, asker: Asker) -> None:
        """See `Instance.connect`."""
        self._asker = asker

    def _ask(self, request: bytes) -> bytes:
        with self._ticker.pause():  # the broker has deadlines of its own
            return self._asker.ask(request)

    def call(self, hook: int, frame: memoryview, out: memoryview) -> int:
        """Copy the frame in, call, copy the result out."""
        return self._run(self._ticks, lambda: self._exchange(hook, frame, out))

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

    def _run(self, ticks: int, work: Callable[[], _T]) -> _T:
        """Run something that enters the module; every way to fail becomes an InstanceError and closes the instance."""
        if self._store is None:
            raise InstanceError("the plugin's instance is closed")
        self._store.set_epoch_deadline(ticks)
        try:
            with self._ticker:
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
        if code is TrapCode.INTERRUPT:
            return "took too long"
        if code is TrapCode.STACK_OVERFLOW:
            return f"called itself too deeply{_where(trap)}"
        said = self._said()
        return said or (f"trap: {code.name.lower().replace('_', ' ')}" if code else _one_line(trap.message))

    def _said(self) -> str:
        """Return the first line the plugin printed; Go's runtime prints why it gives up."""
        text = self._wasi.stderr.decode("utf-8", "replace")
        return _one_line(text)

    def close(self) -> None:
        """Free the instance and its thread."""
        self._ticker.close()
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


def _ticks(seconds: float) -> int:
    return int(seconds / TICK_SECONDS) + 2  # a deadline is counted from the current tick, which may end at once


class _Ticker:
    """Advances the engine's epoch while a call runs (`with`), and sleeps otherwise."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._running = False
        self._paused = False
        self._busy = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="kubeshark-epoch", daemon=True)
        self._thread.start()

    def __enter__(self) -> None:
        self._running = True
        self._busy.set()

    def __exit__(self, *_error: object) -> None:
        self._running = False

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Let no time pass for the module."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def _tick(self) -> None:
        while not self._closed.is_set():
            self._busy.wait()
            if self._closed.wait(TICK_SECONDS):
                return
            if not self._paused:
                self._engine.increment_epoch()
            if not self._running:
                self._busy.clear()
                self._wake_if_running()  # a call may have begun between these two lines

    def _wake_if_running(self) -> None:
        if self._running:
            self._busy.set()

    def close(self) -> None:
        self._closed.set()
        self._busy.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
