"""Does the tasks of a query in processes of this machine, several at once.

A worker that dies costs what it had not sent of its task: the query says so, and another takes its place. Otherwise as
`_spread.py` has it.
"""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from kubeshark.errors import KubesharkError
from kubeshark.pipeline._spread import LOOK_SECONDS, Spread, WorkerDied
from kubeshark.pipeline._worker import DONE, FAILED, READY

__all__ = ["Processes", "WorkerDied"]

END_SECONDS = 2.0


@dataclass(slots=True, eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    channel: Connection
    is_ready: bool = False
    task: int | None = None

    @property
    def end(self) -> str:
        """Say how the process ended; it is ended if it did not."""
        try:
            code = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if code < 0:
            return f"was ended by signal {-code}"
        return f"ended with code {code}"


@dataclass(slots=True)
class Processes(Spread):
    """An `Executor` with `count` workers. `errors` gets what the filter failed on in any of them."""

    _workers: list[_Worker] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.count} processes"

    def close(self) -> None:
        """End all workers: those at work at once."""
        for worker in self._workers:
            worker.channel.close()  # a worker ends with its socket
        for worker in self._workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(END_SECONDS)
                continue
            worker.process.kill()
            worker.process.wait()
        self._workers.clear()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "kubeshark.pipeline._worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the command, which ends its workers
            )
        worker = _Worker(process, Connection(ours.detach()))
        self._workers.append(worker)
        try:
            worker.channel.send(self.job)
        except OSError:
            self._lose(worker)

    def _collect(self, takes: set[int]) -> None:
        self._give_out()
        listened = {worker.channel: worker for worker in self._workers if worker.task is None or worker.task in takes}
        for channel in wait(list(listened), LOOK_SECONDS):
            worker = listened[channel]  # type: ignore[index]
            try:
                self._take(worker, worker.channel.recv_bytes())
            except (EOFError, OSError):
                self._lose(worker)

    def _take(self, worker: _Worker, message: bytes) -> None:
        kind = message[:1]
        if kind == READY:
            worker.is_ready = True
        elif kind == FAILED:
            error: KubesharkError = pickle.loads(message[1:])  # noqa: S301 - our own worker's
            self._lose(worker, error)
        elif worker.task is not None:
            self._keep(worker.task, message)
            if kind == DONE:
                worker.task = None

    def _give_out(self) -> None:
        for worker in [worker for worker in self._workers if worker.is_ready and worker.task is None]:
            if not self._waiting:
                return
            try:
                worker.channel.send(self._waiting[0])
            except OSError:
                self._lose(worker)
            else:
                worker.task = self._waiting.popleft().number

    def _lose(self, worker: _Worker, error: KubesharkError | None = None) -> None:
        """Take a worker that is gone off the list; start another while there is work that nobody has."""
        self._workers.remove(worker)
        worker.channel.close()
        how = worker.end
        if not worker.is_ready:
            raise error or WorkerDied(f"a worker process {how} before it could begin", hint="try again with --jobs 1")
        if worker.task is not None:
            what = f"a worker process {how} while it dissected {{}}" if error is None else f"{{}}: {error}"
            self._lost(worker.task, f"{what}: entries are missing")
        if self._waiting:
            self._start()
