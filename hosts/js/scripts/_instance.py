"""One isolate of scripts in the sandboxed child: V8 with the shim, the scripts loaded into it, calls with a time limit.

Invariants:

1. A script has what the shim gives it and nothing else: no callbacks into Python, no modules, no files.
2. The limit of a call is CPU time, so that a busy machine does not punish a script; a wall clock bounds it, too. What
   the host takes to answer a question is not the script's.
3. Everything that comes back is text of the shim's JSON; the host checks it again.
"""

from __future__ import annotations

import contextlib
import json
import queue
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from py_mini_racer import JSEvalException, JSOOMException, MiniRacer

from kubeshark.extension_api._frame import REQUEST_BYTES, RESULT_BYTES
from kubeshark.hosts._instance import InstanceError
from kubeshark.hosts.js._instance import SANDBOX

__all__ = ["SANDBOX", "ScriptIsolate", "prepare"]

START_SECONDS = 10.0
WALL_FACTOR, MOST_WAITING_SECONDS = 20, 60.0  # a call may wait this much longer than it may work
POLL_SECONDS = 0.0002  # between two looks for a question while V8 runs
QUICK_POLL_SECONDS = 0.00002
WAITING_SECONDS = 0.0005  # that a script spins before a question is seen, and after it was answered
MAX_ASKED, ASKED_SECONDS = 20_000, 60.0  # of one call
QUESTION_BYTES = 4 << 20
HEAP_MB = 64
HELPERS = (
    "console,test,kfl,jobs,utils,pcap,file,hub,prometheus,vendor,wrapper,chatgpt,joinMaps,env,setTimeout,setInterval,"
    "clearTimeout,clearInterval,atob,btoa,TextEncoder,TextDecoder"
)
"""Names that scripts find."""

_ASKED, _ANSWERED = 1, 2
_UNTRACKED = 0  # mini-racer's number for "put the result into the queue"
_CANCEL_SECONDS = 5.0

Ask = Callable[[bytes], bytes]
"""Lets the host answer a question; both are JSON in ASCII."""


def prepare() -> tuple[MiniRacer, str]:
    """Start V8, which reads files of its own, and read what runs before scripts: before the sandbox is up."""
    here = files("kubeshark.hosts.js.scripts")
    return MiniRacer(), "\n".join((here / name).read_text("utf-8") for name in ("library.js", "shim.js"))


class ScriptIsolate:
    """Scripts of one group in one role."""

    def __init__(self, engine: MiniRacer, shim: str, ask: Ask) -> None:
        self._engine = engine
        self._ask = ask
        self._asked = self._asked_s = self._asked_cpu = 0.0  # questions of this call, what they took
        engine.set_hard_memory_limit(HEAP_MB << 20)
        self._flags: Any = None
        self._evaluate(f"{shim}\n//# sourceURL=kubeshark.js", START_SECONDS)
        self._input: Any = self._evaluate(f"const __in = new SharedArrayBuffer({REQUEST_BYTES}); __in", START_SECONDS)
        self._question: Any = self._evaluate(
            f"const __out = new SharedArrayBuffer({QUESTION_BYTES}); __out", START_SECONDS
        )
        flags: Any = self._evaluate("const __flags = new SharedArrayBuffer(8); __flags", START_SECONDS)
        self._flags = flags.cast("i")

    def call(self, request: memoryview, seconds: float) -> bytes:
        """Do what the request says; return the shim's answer. InstanceError means that the isolate is spent."""
        order = json.loads(bytes(request))
        if order["do"] == "open":
            self._evaluate(f"__ks.open(__in, __flags, __out, {json.dumps(order['node'])}); 0", START_SECONDS)
            return self._take()
        if order["do"] == "load":
            return self._load(order, seconds)
        self._run(bytes(request), seconds)
        return self._take()

    def _run(self, request: bytes, seconds: float) -> None:
        self._input[: len(request)] = request
        self._evaluate(f"__ks.call({len(request)})", seconds)

    def _take(self) -> bytes:
        answer = str(self._evaluate("__ks.take()", START_SECONDS)).encode("utf-8", "replace")
        if len(answer) > RESULT_BYTES:
            raise InstanceError(f"a result of {len(answer):,} bytes")
        return answer

    def _load(self, order: dict[str, Any], seconds: float) -> bytes:
        """Run a script's text as a function's body; an error in it is part of the answer."""
        describe = {key: order[key] for key in ("id", "title", "file", "env")}
        self._run(json.dumps({"do": "define", **describe}).encode(), START_SECONDS)
        self._take()
        code = _wrapped(order["id"], order["text"], order["hooks"])
        error = ""
        try:
            self._evaluate(f"{code}\n//# sourceURL={order['file']}", seconds, raises=True)
        except JSOOMException:
            raise InstanceError("used more memory than it may") from None
        except JSEvalException as thrown:  # a syntax error is one
            error = _placed(str(thrown))
        if error:
            self._run(json.dumps({"do": "unload", "id": order["id"]}).encode(), START_SECONDS)
        else:
            self._run(json.dumps({"do": "loaded", "id": order["id"]}).encode(), START_SECONDS)
        answer = json.loads(self._take())
        answer["error"] = error
        return json.dumps(answer).encode()

    def _evaluate(self, code: str, seconds: float, *, raises: bool = False) -> Any:
        """Evaluate, answering questions meanwhile; what goes wrong becomes an InstanceError unless it `raises`."""
        context: Any = self._engine._ctx
        library, results = context._dll, context._non_cancelable_mr_task_results_queue
        handle = context._python_to_value_handle(code)
        task = library.mr_eval(context._ctx, handle.raw, _UNTRACKED)
        self._asked = self._asked_s = self._asked_cpu = 0.0
        poll = POLL_SECONDS
        cpu, wall = time.process_time(), time.monotonic()
        while True:
            try:
                result = results.get(timeout=poll if self._flags is not None else seconds)
            except queue.Empty:
                if self._flags is not None and self._flags[0] == _ASKED:
                    self._answer()
                    poll = QUICK_POLL_SECONDS  # who asks once asks again
                    continue
                poll = min(2 * poll, POLL_SECONDS)
                used = time.process_time() - cpu - self._asked_cpu
                waited = time.monotonic() - wall - self._asked_s
                if used < seconds and waited < min(seconds * WALL_FACTOR, seconds + MOST_WAITING_SECONDS):
                    continue
                library.mr_cancel_task(context._ctx, task)
                with contextlib.suppress(queue.Empty):
                    results.get(timeout=_CANCEL_SECONDS)
                raise InstanceError(f"took more than {seconds * 1000:,.0f} ms") from None
            try:
                return context._value_handle_to_python(result)
            except JSOOMException as error:
                raise InstanceError("used more memory than it may") from error
            except JSEvalException as error:
                if raises:
                    raise
                raise InstanceError(_first_line(str(error))) from error
            except UnicodeDecodeError as error:
                raise InstanceError("answered what is no text") from error

    def _answer(self) -> None:
        began, cpu = time.monotonic(), time.process_time()
        length = self._flags[1]
        self._asked += 1
        if not 0 <= length <= QUESTION_BYTES:
            raise InstanceError("asked nonsense")
        if self._asked > MAX_ASKED or self._asked_s > ASKED_SECONDS:
            raise InstanceError(f"asked for too much: {self._asked:,.0f} times, {self._asked_s:,.0f} s")
        answer = self._ask(bytes(self._question[:length]))
        self._input[: len(answer)] = answer
        self._flags[1] = len(answer)
        self._flags[0] = _ANSWERED
        self._asked_s += time.monotonic() - began
        self._asked_cpu += time.process_time() - cpu + WAITING_SECONDS

    def close(self) -> None:
        """Close V8; one left open can hang the interpreter at exit."""
        self._engine.close()


def _wrapped(script: str, text: str, hooks: list[str]) -> str:
    """Return the script as a function's body, one line further down; a top-level `return` ends its loading.

    Hooks are looked up afterwards from inside, where declarations of every kind are seen. `const` and `let` below an
    early return were never made: looking at them throws.
    """
    seen = "".join(f"try{{if(typeof {hook}==='function')found.{hook}={hook};}}catch(e){{}}" for hook in hooks)
    key = json.dumps(script)
    probe = f"() => {{ const found = {{}}; {seen} return found; }}"
    return (
        f"(({{{HELPERS}}}) => {{ (function () {{ __ks.enter({key}, {probe});\n"
        f"{text}\n}}).call(globalThis); }})(__ks.helpers({key})); 0"
    )


def _placed(text: str) -> str:
    """Return `MESSAGE line:col` of V8's message: `file:line: MESSAGE`, the source, a caret below it."""
    lines = text.strip("\n").split("\n")
    head, column = lines[0], 0
    for line in lines[1:4]:
        if line.strip() and not line.strip().strip("^"):
            column = line.index("^") + 1
            break
    _, _, rest = head.partition(":")
    number, _, message = rest.partition(":")
    if not number.isdecimal():
        return _first_line(text)
    place = f" {max(1, int(number) - 1)}:{column}" if column else f" {max(1, int(number) - 1)}"
    return f"{_first_line(message)}{place}"


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0][:300]
    return "".join(char if char.isprintable() else "?" for char in line)
