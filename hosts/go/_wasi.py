"""The little of WASI that a Go program needs to start, and nothing else: no files, environment, arguments or sleep.

Own functions instead of wasmtime's, because those start threads, and because a plugin's answers must not depend on
anything but its input: the random numbers are always the same ones. Source: WASI preview 1, `typenames` and functions.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from struct import Struct

from wasmtime import Caller, FuncType, Linker, Memory, Module

from kubeshark.hosts._instance import InstanceError

__all__ = ["Exited", "Wasi"]

WASI_MODULE = "wasi_snapshot_preview1"
OWN_MODULE, OWN_FUNCTIONS = "kubeshark", ("ask", "take")
STDERR_BYTES = 4096  # a panic's text; Go's whole stack trace is of no use to a reader
RANDOM_BYTES = 4096  # Go asks for 32 at start
SHORT_NS = 1_000_000  # of a sleep
_SUBSCRIPTION = Struct("<8xB15xQ8xH6x")  # of a clock: its kind (0), the time in nanoseconds, flags (0: from now on)
SUCCESS, BAD_FD, INVALID, NOT_OFFERED = 0, 8, 28, 52


class Exited(Exception):
    """The program ended itself: a fatal error of the Go runtime does."""


class Wasi:
    """The host functions of one instance; `stderr` keeps the first STDERR_BYTES of what it printed."""

    def __init__(self, ask: Callable[[bytes], bytes]) -> None:
        """`ask` answers what the plugin asks the broker for."""
        self.stderr = bytearray()
        self._ask = ask
        self._answer = b""
        self._random = random.Random(0)

    def define(self, linker: Linker, module: Module) -> None:
        """Define every import of `module`; raise InstanceError for one that is neither WASI's nor ours."""
        linker.allow_shadowing = True  # Go's runtime and its syscall package import the same functions
        for wanted in module.imports:
            kind = wanted.type
            if wanted.module == OWN_MODULE and wanted.name in OWN_FUNCTIONS and isinstance(kind, FuncType):
                function = self._asked if wanted.name == "ask" else self._take
                linker.define_func(OWN_MODULE, wanted.name, kind, function, access_caller=True)
                continue
            if wanted.module != WASI_MODULE or not wanted.name or not isinstance(kind, FuncType):
                raise InstanceError(f"the module imports {wanted.module}.{wanted.name}, which does not exist here")
            linker.define_func(wanted.module, wanted.name, kind, self._function(wanted.name), access_caller=True)

    def _function(self, name: str) -> Callable[..., int | None]:
        functions: dict[str, Callable[..., int | None]] = {
            "args_get": _success,
            "args_sizes_get": _two_zeros,
            "environ_get": _success,
            "environ_sizes_get": _two_zeros,
            "clock_time_get": _clock,
            "fd_prestat_get": _bad_fd,  # ends the list of folders
            "fd_write": self._write,
            "poll_oneoff": _sleep,
            "proc_exit": _exit,
            "random_get": self._randomness,
            "sched_yield": _success,
        }
        return functions.get(name, _not_offered)

    def _write(self, caller: Caller, fd: int, vectors: int, count: int, written_at: int) -> int:
        if fd not in (1, 2) or not 0 <= count <= 64:
            return BAD_FD
        memory = _memory(caller)
        total = 0
        for index in range(count):
            vector = memory.read(caller, _unsigned(vectors) + 8 * index, _unsigned(vectors) + 8 * index + 8)
            start, length = int.from_bytes(vector[:4], "little"), int.from_bytes(vector[4:], "little")
            room = STDERR_BYTES - len(self.stderr)
            self.stderr += memory.read(caller, start, start + min(length, room))
            total += length
        memory.write(caller, (total & 0xFFFFFFFF).to_bytes(4, "little"), _unsigned(written_at))
        return SUCCESS

    def _asked(self, caller: Caller, at: int, length: int) -> int:
        start = _unsigned(at)
        self._answer = self._ask(bytes(_memory(caller).read(caller, start, start + _unsigned(length))))
        return len(self._answer)

    def _take(self, caller: Caller, at: int) -> None:
        answer, self._answer = self._answer, b""
        _memory(caller).write(caller, answer, _unsigned(at))

    def _randomness(self, caller: Caller, at: int, length: int) -> int:
        if not 0 <= length <= RANDOM_BYTES:
            return INVALID
        _memory(caller).write(caller, self._random.randbytes(length), _unsigned(at))
        return SUCCESS


def _unsigned(pointer: int) -> int:
    return pointer & 0xFFFFFFFF


def _memory(caller: Caller) -> Memory:
    memory = caller["memory"]
    if not isinstance(memory, Memory):
        raise InstanceError("the module's memory is not a memory")
    return memory


def _two_zeros(caller: Caller, count_at: int, size_at: int) -> int:
    for at in (count_at, size_at):
        _memory(caller).write(caller, bytes(4), _unsigned(at))
    return SUCCESS


def _clock(caller: Caller, _clock_id: int, _precision: int, at: int) -> int:
    _memory(caller).write(caller, time.monotonic_ns().to_bytes(8, "little"), _unsigned(at))
    return SUCCESS


def _exit(_caller: Caller, code: int) -> None:
    raise Exited(f"exit code {code}")


def _sleep(caller: Caller, subscriptions: int, _events: int, count: int, _count_at: int) -> int:
    """Return at once from what the runtime waits before it says why it panics; nothing would wake whoever sleeps."""
    at = _unsigned(subscriptions)
    kind, timeout_ns, flags = _SUBSCRIPTION.unpack(bytes(_memory(caller).read(caller, at, at + _SUBSCRIPTION.size)))
    if count != 1 or kind or flags or timeout_ns > SHORT_NS:
        raise Exited("the plugin sleeps, and nothing would wake it")
    return SUCCESS


def _success(*_arguments: object) -> int:
    return SUCCESS


def _bad_fd(*_arguments: object) -> int:
    return BAD_FD


def _not_offered(*_arguments: object) -> int:
    return NOT_OFFERED
