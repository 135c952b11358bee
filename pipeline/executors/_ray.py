"""Does the tasks of a query on a Ray cluster: `kubeshark[ray]`, `--executor ray` (docs/adr/0031-archive.md).

1. Only tasks whose segments are sealed and on object storage travel; the others are done here, in the same order.
2. The identity stays here. A task takes along the keys of its own segments, in a letter to the process that does it.
3. An actor or a machine that dies costs time: its task is done again elsewhere from where its rows had come to, since a
   task gives the same each time. After TRIES the query says what is missing.
"""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
import signal
import socket
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from msgspec import Struct

from kubeshark.core_capture.store import (
    Identity,
    Recipient,
    SegmentReader,
    SegmentReference,
    open_letter,
    reference_of,
    write_letter,
)
from kubeshark.errors import KubesharkError, StoreError, UsageError
from kubeshark.pipeline.executors._job import Errand, TaskSpec
from kubeshark.pipeline.executors._ray_actor import QueryActor
from kubeshark.pipeline.executors._spread import LOOK_SECONDS, Spread, WorkerDied
from kubeshark.pipeline.executors._worker import DONE, FAILED
from kubeshark.pipeline.query._plan import Task
from kubeshark.pipeline.query._runs import RowPiece

__all__ = ["RayActors", "actors", "connect", "fault_handlers_kept"]

TRIES = 3
_FAULTS = (signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGABRT)
_SIGACTION_BYTES = 256  # more than a struct sigaction of Linux has
HELD_LETTERS = 64
"""Of one task that nobody has taken yet: then its actor waits."""


KNOCK_SECONDS = 10.0


def connect() -> Any:
    """Return the module `ray`, joined to the cluster of $RAY_ADDRESS, or to one of this machine that ends with us."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing calls home
    try:
        ray = import_module("ray")  # an extra, of any version: what it is to us stands here
    except ImportError as error:
        raise UsageError("there is no Ray here", hint='pip install "kubeshark[ray]", or --executor process') from error
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS")
        try:
            _knock(address or "")
            with fault_handlers_kept():
                ray.init(
                    **({} if address else {"include_dashboard": False}),
                    address=address,
                    namespace="kubeshark",
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except Exception as error:  # noqa: BLE001 - of many kinds, some of no common base
            first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise StoreError(f"the Ray cluster at {address or 'this machine'} cannot be reached: {first}") from None
    return ray


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at host:port: Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


@contextmanager
def fault_handlers_kept() -> Iterator[None]:
    """Undo what Ray does to the signals of faults: its handlers end a process in which WebAssembly only trapped."""
    libc = ctypes.CDLL(None)
    kept = {number: ctypes.create_string_buffer(_SIGACTION_BYTES) for number in _FAULTS}
    for number, before in kept.items():
        libc.sigaction(int(number), None, before)
    try:
        yield
    finally:
        for number, before in kept.items():
            libc.sigaction(int(number), before, None)


def actors(jobs: int | None, tasks: int) -> int:
    """Return how many actors a query with so many tasks gets: `jobs`, or one a processor of the cluster."""
    if jobs is None:
        jobs = int(connect().cluster_resources().get("CPU", 1))
    return max(min(jobs, tasks), 1)


class _Actor(Struct, eq=False):
    """`stage`: what it was asked last, until it has answered."""

    handle: Any
    waits_for: Any  # the answer of `stage`, or the stream of a task
    stage: str = "hello"
    key: Recipient | None = None
    task: TaskSpec | None = None


@dataclass(kw_only=True)
class RayActors(Spread):
    """An `Executor` with up to `count` actors. `here` does what cannot travel."""

    _actors: list[_Actor] = field(default_factory=list)
    _came: dict[int, int] = field(default_factory=dict)  # letters of a task that were taken, over all its tries
    _skip: dict[int, int] = field(default_factory=dict)  # of the try under way: those that came before
    _tries: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ray = connect()
        self._me = Identity.generate()
        self._kind = self._ray.remote(QueryActor)
        self._references: dict[str, SegmentReference | None] = {}

    @property
    def name(self) -> str:
        return f"{self.count} Ray actors"

    def _goes(self, task: Task) -> bool:
        return all(self._reference(segment) is not None for segment in _segments_of(task))

    def _reference(self, segment: Any) -> SegmentReference | None:
        name = segment.name
        if name not in self._references:
            self._references[name] = reference_of(segment) if isinstance(segment, SegmentReader) else None
        return self._references[name]

    def _begin(self, number: int) -> Iterator[RowPiece[Any]]:
        return self._stream(number) if self._goes(self._tasks[number]) else self._do_here(number)

    def _start(self) -> None:
        handle = self._kind.options(num_cpus=1, max_restarts=0, max_task_retries=0).remote()
        self._actors.append(_Actor(handle, handle.hello.remote()))

    def close(self) -> None:
        """End the actors: those at work at once."""
        for actor in self._actors:
            self._ray.kill(actor.handle)
        self._actors.clear()
        self._tell_of_here()

    def _collect(self, takes: Container[int]) -> None:
        self._give_out()
        listened = {
            id(actor.waits_for): actor
            for actor in self._actors
            if actor.waits_for is not None and (actor.task is None or actor.task.number in takes)
        }
        asked = [actor.waits_for for actor in listened.values()]
        if not asked:
            return
        ready, _ = self._ray.wait(asked, num_returns=1, timeout=LOOK_SECONDS, fetch_local=True)
        for answer in ready:
            actor = listened[id(answer)]
            try:
                self._take(actor)
            except StopIteration:
                self._lose(actor, "ended")
            except (self._ray.exceptions.RayError, OSError) as error:
                self._lose(actor, type(error).__name__)

    def _take(self, actor: _Actor) -> None:
        if actor.task is None:
            self._greet(actor, self._ray.get(actor.waits_for))
            return
        number = actor.task.number
        message = open_letter(self._ray.get(next(actor.waits_for)), self._me)
        if message[:1] == FAILED:
            error: KubesharkError = pickle.loads(message[1:])  # noqa: S301 - our own actor's
            self._end_task(actor)
            self._lost(number, f"{{}}: {error}: entries are missing")
            return
        if self._skip.get(number, 0):  # an earlier try has given it
            self._skip[number] -= 1
        else:
            self._came[number] = self._came.get(number, 0) + 1
            self._keep(number, message, len(message))
        if message[:1] == DONE:
            self._end_task(actor)

    def _end_task(self, actor: _Actor) -> None:
        actor.task = actor.waits_for = None

    def _greet(self, actor: _Actor, answer: Any) -> None:
        if actor.stage == "hello":
            actor.key = Recipient.parse(answer[0])
            actor.stage = "begin"
            letter = self._letter(actor, (str(self._me.recipient), self.job))
            actor.waits_for = actor.handle.begin.remote(letter)
            return
        if answer:
            error: KubesharkError = pickle.loads(open_letter(answer, self._me)[1:])  # noqa: S301 - our own actor's
            raise error
        actor.stage, actor.waits_for = "", None

    def _letter(self, actor: _Actor, content: Any) -> bytes:
        assert actor.key is not None
        return write_letter(pickle.dumps(content, pickle.HIGHEST_PROTOCOL), actor.key)

    def _give_out(self) -> None:
        for actor in self._actors:
            if actor.stage or actor.task is not None or not self._waiting:
                continue
            spec = self._waiting.popleft()
            found = {each.name: self._reference(each) for each in _segments_of(self._tasks[spec.number])}
            given = {name: reference for name, reference in found.items() if reference is not None}
            asked = actor.handle.do.options(num_returns="streaming", _generator_backpressure_num_objects=HELD_LETTERS)
            actor.waits_for = asked.remote(self._letter(actor, Errand(spec, given)))
            actor.task = spec
            self._skip[spec.number] = self._came.get(spec.number, 0)

    def _lose(self, actor: _Actor, how: str) -> None:
        """Do the task of an actor that is gone again, before any other; a new actor takes its place."""
        self._actors.remove(actor)
        spec = actor.task
        if spec is None:
            if not self._actors:
                raise WorkerDied(f"an actor {how} before it could begin", hint="try again with --executor process")
            return
        self._tries[spec.number] = self._tries.get(spec.number, 0) + 1
        if self._tries[spec.number] >= TRIES:
            self._lost(spec.number, f"{TRIES} actors died while they dissected {{}}: entries are missing")
        else:
            self._waiting.appendleft(spec)
        if self._waiting:
            self._start()


def _segments_of(task: Task) -> list[Any]:
    """Return the segments that a task reads, each once."""
    found = {}
    for chunk in task.chunks:
        found[chunk.begins.segment.name] = chunk.begins.segment
        for parts in chunk.begins.chained.values():
            found |= {part.segment.name: part.segment for part in parts}
    return [*found.values()]
