"""A worker process: opens the store itself, loads plugins itself, and does the tasks that it is given.

It uses nothing of the process that started it but what its socket brings, also where it was forked (`_start.py`).
Messages both ways are pickles of our own classes, between processes of one user; the socket is the only way to it. It
ends when the socket closes: a thread watches for that, because the work may be busy for long.
"""

from __future__ import annotations

import io
import os
import pickle
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any

from kubeshark.core_capture import load_core
from kubeshark.core_capture.store import Identity, ReadStats, Requests, SegmentReader, open_store
from kubeshark.errors import KubesharkError, StoreError
from kubeshark.pipeline._memory import keep_freed_memory
from kubeshark.pipeline.dissection._dissect import Dissector
from kubeshark.pipeline.dissection._secrets import Secrets
from kubeshark.pipeline.entries._facts import Origin
from kubeshark.pipeline.executors._executor import InProcess
from kubeshark.pipeline.executors._job import Job, Report, TaskSpec, chunk_of
from kubeshark.pipeline.plugins._manager import Plugins
from kubeshark.pipeline.query._filter import EntryFilter
from kubeshark.pipeline.query._plan import Task
from kubeshark.pipeline.query._rows import columns_read_by
from kubeshark.pipeline.query._run import Runner
from kubeshark.pipeline.tls import KeyLog

__all__ = ["DONE", "FAILED", "READY", "ROWS", "main"]

READY, ROWS, DONE, FAILED = (bytes([letter]) for letter in b"yrdf")
"""First byte of a message to the query; what follows is pickled."""

LOOK_SECONDS = 1.0
AHEAD_BYTES = 4 << 20  # made and not sent
ORPHANED = 70  # EX_SOFTWARE


def main(descriptor: int) -> None:
    """Serve the socket with this number until it closes."""
    parent = os.getppid()
    channel = Connection(descriptor)
    sender = _Sender(channel)
    threading.Thread(target=_end_with, args=(descriptor, parent), daemon=True).start()
    try:
        job: Job = channel.recv()
        with Plugins.installed() as plugins:
            store = open_store(job.store, identities=[Identity.parse(text) for text in job.secret_keys])
            worker = Worker(job, plugins, store.open_segment, lambda: store.requests)
            keep_freed_memory()
            sender.send(READY, None)
            while (task := channel.recv()) is not None:
                for kind, content in worker.do(task):
                    sender.send(kind, content)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # nobody wants it any more
    except KubesharkError as error:
        sender.send(FAILED, error)
    except Exception as error:  # noqa: BLE001 - a worker's last words: the query tells them
        sender.send(FAILED, StoreError(f"a worker process failed: {type(error).__name__}: {error}"))
    sender.close()


class _Sender:
    """Sends messages in a thread of its own: a worker need not wait where the query is busy for a moment."""

    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self._waiting: deque[memoryview | None] = deque()  # None: the end
        self._bytes = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def send(self, kind: bytes, content: Any) -> None:
        """Return when less than AHEAD_BYTES wait before it."""
        message = io.BytesIO()
        message.write(kind)
        pickle.dump(content, message, pickle.HIGHEST_PROTOCOL)
        self._put(message.getbuffer())

    def close(self) -> None:
        """Return when all is sent."""
        self._put(None)
        self._thread.join()

    def _put(self, message: memoryview | None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._bytes < AHEAD_BYTES)
            self._waiting.append(message)
            self._bytes += len(message or b"")
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                message = self._waiting.popleft()
            if message is None:
                return
            try:
                self._channel.send_bytes(message)
            except OSError:
                os._exit(ORPHANED)  # nobody wants it any more
            with self._changed:
                self._bytes -= len(message)
                self._changed.notify()


def _end_with(descriptor: int, parent: int) -> None:
    """End this process when the other end of the socket closes, or the parent ends but somebody else holds that end."""
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    while not poll.poll(LOOK_SECONDS * 1000) and os.getppid() == parent:
        pass
    os._exit(ORPHANED)


class Worker:
    """One query's tools."""

    def __init__(
        self,
        job: Job,
        plugins: Plugins,
        open_segment: Callable[[str], SegmentReader],
        requests: Callable[[], Requests | None],
    ) -> None:
        self._job = job
        self._plugins = plugins
        self._open, self._requests = open_segment, requests
        self._asked: Requests | None = None
        secrets = Secrets(KeyLog.parse(job.keylog), ())
        plugins.macros = job.macros
        self._filter = EntryFilter(job.kfl, plugins, now_ns=job.now_ns, can_decrypt=secrets.step is not None)
        origin = Origin(
            "file", "", self._filter.variables, plugins.display, names_nodes=job.names_nodes, names=job.names
        )
        self._dissector = Dissector(load_core(), plugins, [], origin, secrets.step)

    def _asked_since(self) -> Requests | None:
        """Return what was asked of a server since the last time."""
        now, before = self._requests(), self._asked
        self._asked = now
        return now - before if now and before else now

    def do(self, task: TaskSpec) -> Iterator[tuple[bytes, Any]]:
        """Yield what the task gives in batches, then its report: the same each time it is done."""
        job, began = self._job, time.process_time()
        reads = columns_read_by(job.make, self._filter.variables)
        runner = Runner(self._dissector, self._filter, job.window, job.order, job.limit, reads)
        failed_before = self._filter.errors.count
        with ExitStack() as stack:
            segments: dict[str, SegmentReader] = {}

            def opened(name: str) -> SegmentReader:
                if name not in segments:
                    segments[name] = stack.enter_context(self._open(name))
                return segments[name]

            def read() -> ReadStats:
                total = ReadStats()
                for reader in segments.values():
                    total += reader.stats
                return total

            chunks = []
            for spec in task.chunks:
                try:
                    chunks.append(chunk_of(spec, opened))
                except KubesharkError as error:
                    runner.damage.note(error)
            if chunks:
                work = InProcess(runner, job.make, runner.stats)
                for rows in work.rows(Task(chunks)):
                    yield ROWS, (rows.places, rows.values)
            problems = [*runner.problems, *self._plugins.take_problems()]
            self._dissector.problems.clear()
            self._filter.failures.clear()
            errors = self._filter.errors
            failed = errors.count - failed_before
            cpu_s = time.process_time() - began
            report = Report(runner.stats, read(), problems, failed, errors.first, self._asked_since(), cpu_s)
        yield DONE, report


if __name__ == "__main__":
    main(int(sys.argv[1]))
