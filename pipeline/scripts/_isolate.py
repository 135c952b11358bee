"""One isolate: the scripts of a group in one role, in a process that is replaced when it fails.

A call never raises for what a script did: a failure is noted, the state of the scripts is lost, and the next call finds
a new process with the scripts loaded anew. One that fails again and again is left alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field

from kubeshark.hosts.js.scripts._process import Answer, Command, ScriptChild, ScriptError, ascii_json
from kubeshark.pipeline.scripts._script import Script

__all__ = ["HOOK_S", "JOB_S", "Isolate", "Role", "RoleState"]

HOOK_S = 0.1  # of CPU, for a batch
JOB_S = 30.0
FAILURES, WINDOW_S = 5, 300.0

Role = Literal["worker", "hub"]


class RoleState(Struct):
    """How one script fares in one role."""

    script: Script
    role: Role
    hooks: Sequence[str] = ()
    problem: str = ""  # why it did not load, or was given up
    note: str = ""  # the last trouble that it survived: a failed reload, a replaced isolate
    errors: int = 0  # calls of hooks that threw
    replaced: int = 0  # isolates lost


class Isolate(Struct):
    """Thread-safe: calls take turns."""

    role: Role
    node: str
    scripts: list[Script]
    environment: Mapping[str, str]
    ask: Callable[[Isolate, bytes], bytes]  # question → answer
    done: Callable[[Isolate, Sequence[Command]], None]  # what scripts queued
    states: dict[str, RoleState] = field(default_factory=dict)
    timer_at: float | None = None  # monotonic
    _child: ScriptChild | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _failures: deque[float] = field(default_factory=deque)
    _closed: bool = False

    def __post_init__(self) -> None:
        for script in self.scripts:
            self.states.setdefault(script.id, RoleState(script, self.role))

    @property
    def lock(self) -> threading.RLock:
        """Held during a call."""
        return self._lock

    def start(self) -> None:
        """Start the process and load the scripts, unless that was done."""
        with self._lock:
            self._ready()

    def loaded(self, script: str, hook: str) -> bool:
        state = self.states.get(script)
        return state is not None and not state.problem and hook in state.hooks

    def call(self, request: Mapping[str, Any] | bytes, seconds: float, script: str) -> Answer | None:
        """Let the shim do something for a script; None if that was not possible."""
        with self._lock:
            if not self._ready() or self.states[script].problem:
                return None
            assert self._child
            data = request if isinstance(request, bytes) else ascii_json(request)
            try:
                answer = self._child.ask_encoded(data, seconds, self._answering)
            except ScriptError as error:
                self._lost(str(error), script)
                return None
            except ValueError as error:
                self.states[script].note = str(error)
                return None
            self._took(answer)
        self.done(self, answer.commands)
        return answer

    def tick(self) -> None:
        """Run the timers that are due."""
        owner = next((state.script.id for state in self.states.values() if not state.problem), None)
        if owner is not None:
            self.timer_at = None
            self.call({"do": "tick"}, HOOK_S, owner)

    def close(self) -> None:
        """End the process; any thread, twice is fine."""
        self._closed = True
        child = self._child
        if child:
            child.kill()
        with self._lock:
            if self._child:
                self._child.end()
            self._child = None
            self.timer_at = None

    def _ready(self) -> bool:
        if self._child is not None:
            return True
        if self._closed or not self.scripts:
            return False
        try:
            self._child = ScriptChild()
            self._child.open(self.node)
        except ScriptError as error:
            self._lost(f"does not start: {error}", self.scripts[0].id)
            return False
        for script in self.scripts:
            state = self.states[script.id]
            if state.problem.startswith("was given up"):
                continue
            try:
                answer = self._child.load(
                    script.id, script.title, script.file, script.text, self.environment, self._answering
                )
            except ScriptError as error:
                state.hooks, state.problem = (), f"did not load: it {error}"
                self._lost(str(error), script.id)
                return self._ready()
            state.hooks = () if answer.error else tuple(map(str, answer.result or ()))
            state.problem = f"did not load: {answer.error}" if answer.error else ""
            self._took(answer)
            self.done(self, answer.commands)
        return True

    def _answering(self, question: bytes) -> bytes:
        return self.ask(self, question)

    def _took(self, answer: Answer) -> None:
        self.timer_at = None if answer.timer is None else time.monotonic() + answer.timer / 1000
        for script, errors in answer.errors.items():
            if script in self.states:
                self.states[script].errors += errors

    def _lost(self, reason: str, script: str) -> None:
        """The process is gone; after too many times the script that was running is given up."""
        if self._child:
            self._child.end()
        self._child = None
        self.timer_at = None
        if self._closed:
            return
        now = time.monotonic()
        self._failures.append(now)
        while self._failures and self._failures[0] < now - WINDOW_S:
            self._failures.popleft()
        state = self.states[script]
        state.replaced += 1
        state.note = f"{reason}: its isolate was replaced, its state is lost"
        if len(self._failures) >= FAILURES:
            state.problem = f"was given up after {FAILURES} failures within {WINDOW_S:.0f} s, the last one: {reason}"
            self._failures.clear()
        self.done(self, [(script, "lost", [reason])])
