"""Runs a plugin written in JavaScript on V8 (mini-racer), in the sandboxed child.

Invariants:

1. The script runs after the SDK's prelude and with nothing of the host: no callbacks, no modules, no files.
2. Frames go through shared WebAssembly memory, which a script cannot detach under our views of it.
3. Every evaluation has a time limit, the isolate a heap limit. V8's limit does not cover ArrayBuffers: the sandbox's
   limit on data does.
4. What a script asks for goes through a third such buffer: the thread that waits for V8 looks at its flag meanwhile.
5. The isolate is closed on every way out; one left open can hang the interpreter at exit.
"""

from __future__ import annotations

import errno
import json
import posixpath
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from msgspec import Struct
from py_mini_racer import JSEvalException, JSOOMException, JSTimeoutException, MiniRacer, init_mini_racer

from kubeshark.extension_api._frame import ABI_VERSION, REQUEST_BYTES
from kubeshark.extension_api._manifest import Manifest
from kubeshark.extension_api._services import MAX_MESSAGE
from kubeshark.hosts._asking import Asker
from kubeshark.hosts._instance import InstanceError
from kubeshark.hosts._sandbox import THREADS, Profile
from kubeshark.hosts._seccomp import ALLOW, Rule
from kubeshark.hosts.js._evaluate import evaluate
from kubeshark.hosts.js._source_map import MAX_MAP_BYTES, SourceMap
from kubeshark.hosts.js._trouble import explain

__all__ = ["SANDBOX", "JsInstance", "Prepared", "open_instance", "prepare"]

START_SECONDS = 5.0
V8_FLAGS = ()  # mini-racer's own, --single-threaded, takes away the optimising compiler: 3 times the time
MAX_SCRIPT_BYTES = 4 << 20
ASK_HEAD = 16  # flag, length, two spare: 32 bits each
_ASKED, _ANSWERED = 1, 2

SANDBOX = Profile(
    syscalls={
        **THREADS,
        "openat": Rule(errno=errno.EACCES),  # malloc asks the kernel's settings when a thread's heap shrinks
        # the first Date looks for the time zone; without it V8 takes UTC
        **dict.fromkeys(("readlink", "readlinkat", "newfstatat"), Rule(errno=errno.EACCES)),
        **dict.fromkeys(("nanosleep", "clock_nanosleep"), ALLOW),  # V8's threads wait for each other
        # What V8's helper threads would like to know of themselves: they live without.
        **dict.fromkeys(("sched_getaffinity", "sched_getparam", "sched_getscheduler"), Rule(errno=errno.ENOSYS)),
        **dict.fromkeys(("epoll_ctl", "epoll_pwait", "epoll_wait"), ALLOW),  # mini-racer's thread has an event loop
    },
    jit=True,
    threads=True,
    limits_address_space=False,
    overhead_mb=64,
)


class Prepared(Struct, frozen=True):
    engine: MiniRacer
    prelude: str
    script: str
    source_map: bytes  # b"" without one


def prepare(folder: Path, manifest: Manifest) -> Prepared:
    """Start V8, which reads files of its own, and read the script; nothing of it runs."""
    try:
        with (folder / manifest.entry).open("rb") as file:
            script = file.read(MAX_SCRIPT_BYTES + 1)
        text = script.decode("utf-8")
    except OSError as error:
        raise InstanceError(f"{manifest.entry} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InstanceError(f"{manifest.entry} is not UTF-8 text") from error
    if len(script) > MAX_SCRIPT_BYTES:
        raise InstanceError(f"{manifest.entry} is larger than {MAX_SCRIPT_BYTES:,} bytes")
    init_mini_racer(flags=V8_FLAGS, ignore_duplicate_init=True)
    prelude = (files("kubeshark.extension_api") / "sdk" / "js" / "prelude.js").read_text("utf-8")
    return Prepared(MiniRacer(), prelude, text, _read_map(folder / f"{manifest.entry}.map"))


def _read_map(path: Path) -> bytes:
    """Return the source map that may lie beside a bundle; nothing of it is parsed before there is an error."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_MAP_BYTES + 1)
    except OSError:
        return b""


def open_instance(prepared: Prepared, manifest: Manifest) -> JsInstance:
    """Run the prelude, then the script."""
    instance = JsInstance(prepared.engine, manifest, prepared.source_map)
    try:
        instance.load(prepared.prelude, prepared.script)
    except BaseException:
        instance.close()
        raise
    return instance


class JsInstance:
    """One isolate; see `kubeshark.hosts._instance.Instance`."""

    def __init__(self, engine: MiniRacer, manifest: Manifest, source_map: bytes = b"") -> None:
        self.hooks = 0
        self._engine: MiniRacer | None = engine
        self._manifest = manifest
        self._source_map = source_map
        self._seconds = manifest.limits.batch_ms / 1000
        self._asker: Asker | None = None

    def load(self, prelude: str, script: str) -> None:
        """Evaluate both and take the buffers."""
        assert self._engine is not None
        self._engine.set_hard_memory_limit(self._manifest.limits.memory_mb << 20)
        self._evaluate(f"{prelude}\n//# sourceURL=prelude.js", START_SECONDS)
        tables = {
            "fields": [(row.name, row.type) for row in self._manifest.fields],
            "filters": [{"name": row.name, "parameters": len(row.parameters)} for row in self._manifest.filters],
            "jobs": [row.name for row in self._manifest.jobs],
            "settings": [row.name for row in self._manifest.settings],
        }
        opened = f"const __ks_buffers = __ks.open({json.dumps(tables)}, {ASK_HEAD + MAX_MESSAGE}); __ks.abi"
        abi = self._evaluate(opened, START_SECONDS)
        if abi != ABI_VERSION:
            raise InstanceError(f"the prelude speaks ABI {abi}, not {ABI_VERSION}")
        frame = self._evaluate("__ks_buffers.frame", START_SECONDS)
        self._in, self._out = frame[:REQUEST_BYTES], frame[REQUEST_BYTES:]
        self._ask = self._evaluate("__ks_buffers.ask", START_SECONDS)
        self._flags = self._ask[:ASK_HEAD].cast("i")
        self._evaluate(f"{script}\n//# sourceURL={self._manifest.entry}", START_SECONDS)
        self.hooks = int(self._evaluate("__ks.hooks()", START_SECONDS))

    def connect(self, asker: Asker) -> None:
        """See `Instance.connect`."""
        self._asker = asker

    def call(self, hook: int, frame: memoryview, out: memoryview) -> int:  # noqa: ARG002 (the frame says it too)
        """Copy the frame in, evaluate, copy the result out."""
        if self._engine is None:
            raise InstanceError("the plugin's isolate is closed")
        self._in[: len(frame)] = frame
        if self._asker and self._asker.may_ask:
            written = self._evaluate("__ks.call(true)", self._seconds, self._serve)
        else:
            written = self._evaluate("__ks.call(false)", self._seconds)
        if not isinstance(written, int) or not 0 < written <= len(out):
            raise InstanceError(f"a result of {written} bytes")
        out[:written] = self._out[:written]
        return written

    def _serve(self) -> float:
        """Answer what the script asks for, if it does; return the seconds that took."""
        if self._flags[0] != _ASKED or self._asker is None:
            return 0.0
        began = time.monotonic()
        length = min(max(0, self._flags[1]), MAX_MESSAGE)
        answer = self._asker.ask(bytes(self._ask[ASK_HEAD : ASK_HEAD + length]))
        self._ask[ASK_HEAD : ASK_HEAD + len(answer)] = answer
        self._flags[1] = len(answer)
        self._flags[0] = _ANSWERED
        return time.monotonic() - began

    def _evaluate(self, code: str, seconds: float, serve: Callable[[], float] | None = None) -> Any:
        """Evaluate; every way to fail becomes an InstanceError and closes the isolate."""
        assert self._engine is not None
        try:
            return evaluate(self._engine, code, seconds, serve)
        except JSTimeoutException as error:
            self.close()
            raise InstanceError("took too long") from error
        except JSOOMException as error:
            self.close()
            raise InstanceError("used more memory than it may") from error
        except JSEvalException as error:
            self.close()
            raise InstanceError(self._explain(str(error))) from error

    def _explain(self, text: str) -> str:
        entry = self._manifest.entry
        return explain(text, entry, SourceMap(self._source_map, posixpath.dirname(entry)))

    def close(self) -> None:
        """Close the isolate."""
        engine, self._engine = self._engine, None
        self._in = self._out = self._ask = self._flags = memoryview(b"")
        if engine is not None:
            engine.close()
