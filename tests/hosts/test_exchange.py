"""One exchange over a control socket: in C and in Python it ends in the same way, and nobody's cores are changed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from kubeshark.hosts import _exchange
from kubeshark.hosts._child import ANSWER, COMMAND, OK
from kubeshark.hosts._exchange import HAS_NATIVE, MAX_ANSWER, Control

NATIVE = pytest.param("c", marks=pytest.mark.skipif(not HAS_NATIVE, reason="the exchange in C is not built here"))
ANSWERING = """
import os, socket, sys
control = socket.socket(fileno=int(sys.argv[1]))
while command := control.recv(8):
    control.send(command + bytes(",".join(map(str, sorted(os.sched_getaffinity(0)))), "ascii"))
"""


@pytest.fixture(params=[NATIVE, "python"])
def control(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Control, socket.socket]]:
    if request.param == "python":
        monkeypatch.setattr(_exchange, "_native", None)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield Control(ours), theirs


def answering(theirs: socket.socket, answer: bytes, delay: float = 0.0) -> threading.Thread:
    def run() -> None:
        command = theirs.recv(100)
        time.sleep(delay)
        theirs.send(answer or command)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (b"", COMMAND.pack(4, 99)),
        (ANSWER.pack(OK, 7), ANSWER.pack(OK, 7)),
        (b"x", b"x"),
        (b"y" * (MAX_ANSWER + 9), b"y" * MAX_ANSWER),
    ],
    ids=["command", "answer", "short", "long"],
)
def test_a_command_is_answered(control: tuple[Control, socket.socket], answer: bytes, got: bytes) -> None:
    ours, theirs = control
    thread = answering(theirs, answer)
    assert ours.exchange(os.getpid(), 4, 99, 10) == got
    thread.join()


def test_who_is_gone_gives_nothing(control: tuple[Control, socket.socket]) -> None:
    ours, theirs = control
    theirs.close()
    assert ours.exchange(os.getpid(), 4, 1, 10) == b""
    ours.close()
    assert ours.exchange(os.getpid(), 4, 1, 10) == b""


def test_who_goes_meanwhile_gives_nothing(control: tuple[Control, socket.socket]) -> None:
    ours, theirs = control

    def leave() -> None:
        theirs.recv(8)
        theirs.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=leave)
    thread.start()
    assert ours.exchange(os.getpid(), 4, 1, 10) == b""
    thread.join()


def test_who_is_late_is_told_from_who_is_gone(control: tuple[Control, socket.socket]) -> None:
    ours, _ = control
    with pytest.raises(TimeoutError):
        ours.exchange(os.getpid(), 4, 1, 0.01)


def test_a_signal_is_handled_and_the_answer_waited_for(control: tuple[Control, socket.socket]) -> None:
    ours, theirs = control
    seen: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        seen.append(number)

    before: Callable[[int, FrameType | None], object] | int | None = signal.signal(signal.SIGALRM, note)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        thread = answering(theirs, b"late, but here", 0.2)
        assert ours.exchange(os.getpid(), 4, 1, 10) == b"late, but here"
        thread.join()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [signal.SIGALRM]


def test_both_may_run_afterwards_where_they_might_before(control: tuple[Control, socket.socket]) -> None:
    ours, theirs = control
    cores = os.sched_getaffinity(0)
    command = [sys.executable, "-I", "-c", ANSWERING, str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        for _ in range(20):
            said = ours.exchange(process.pid, 4, 1, 30)
            assert os.sched_getaffinity(0) == os.sched_getaffinity(process.pid) == cores
            assert set(map(int, said[COMMAND.size :].split(b","))) <= cores
        ours.close()


def test_a_process_that_is_not_ours_to_move_is_asked_all_the_same(control: tuple[Control, socket.socket]) -> None:
    ours, theirs = control
    cores = os.sched_getaffinity(0)
    for pid in (0, -1, 1 << 30):  # ourselves, nobody, nobody
        thread = answering(theirs, b"ok")
        assert ours.exchange(pid, 4, 1, 10) == b"ok"
        thread.join()
        assert os.sched_getaffinity(0) == cores
