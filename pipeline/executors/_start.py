"""Starts a worker process: forked where nothing of a stranger can be in it, exec'ed otherwise.

A forked worker has all modules loaded: it begins with its first task after 0.02 s, an exec'ed one after 0.3 s of CPU
(ADR 54). Forking copies what the process has open and whatever its threads are in the middle of, so it is done only
where there is one thread, and where nothing but our own code runs in the worker: it uses nothing that was open before.
The command is such a process; a hub, a notebook and whoever has plugins are none.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from socket import socket
from typing import NoReturn, Protocol

from kubeshark.pipeline.executors import _worker

__all__ = ["Started", "can_fork", "start_worker"]

TASKS = Path("/proc/self/task")
DESCRIPTORS = Path("/proc/self/fd")
FAILED = 70  # EX_SOFTWARE
POLL_SECONDS = 0.01


class Started(Protocol):
    """A process that was started: as much of `subprocess.Popen` as is needed."""

    def wait(self, timeout: float | None = None) -> int:
        """Return its code, negative for a signal; raise TimeoutExpired if it goes on."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


def can_fork() -> bool:
    """Say whether this process has one thread, those of C libraries included."""
    try:
        return sum(1 for _ in TASKS.iterdir()) == 1
    except OSError:  # no Linux
        return False


def start_worker(theirs: socket, *, may_fork: bool) -> Started:
    """Start a worker that serves this end of a socket pair; `may_fork` if nothing but our own code will run in it."""
    if may_fork and can_fork():
        with suppress(OSError):  # no memory for a copy: an exec'ed one takes less
            return _fork(theirs.fileno())
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _worker.__name__, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env={"OPENBLAS_NUM_THREADS": "1", **os.environ},  # as the command does: idle threads spin
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the command, which ends its workers
    )


class _Forked:
    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._code: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        ends = None if timeout is None else time.monotonic() + timeout
        while self._code is None:
            try:
                pid, status = os.waitpid(self._pid, 0 if ends is None else os.WNOHANG)
            except ChildProcessError:  # the program around this waits for all its children
                pid, status = self._pid, 0
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            elif ends is not None and time.monotonic() > ends:
                raise subprocess.TimeoutExpired(_worker.__name__, timeout or 0.0)
            else:
                time.sleep(POLL_SECONDS)
        return self._code

    def kill(self) -> None:
        try:
            self.wait(0)  # the number of one that was waited for may be somebody else's
        except subprocess.TimeoutExpired:
            os.kill(self._pid, signal.SIGKILL)


def _fork(descriptor: int) -> _Forked:
    pid = os.fork()
    if pid:
        return _Forked(pid)
    try:
        _serve(descriptor)
    finally:
        os._exit(FAILED)  # whatever it was, nothing of the command's may run here


def _serve(descriptor: int) -> NoReturn:
    """Leave behind what the process had before, as exec would do, and work."""
    os.setsid()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    for number in [int(path.name) for path in DESCRIPTORS.iterdir()]:
        if number > 2 and number != descriptor:
            with suppress(OSError):  # that of the folder itself
                os.close(number)
    gc.freeze()  # the collector would write to everything there is
    _worker.main(descriptor)
    os._exit(0)
