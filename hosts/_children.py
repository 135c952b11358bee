"""The embedding side of the zygote: start a plugin's child, exchange one batch with it, end it.

Everything a child sends is untrusted: it may write to its control socket and to the shared memory whenever it likes.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubeshark.extension_api._frame import REQUEST_BYTES, RESULT_BYTES
from kubeshark.extension_api._services import MAX_MESSAGE
from kubeshark.hosts._asking import LENGTH
from kubeshark.hosts._child import ANSWER, OK
from kubeshark.hosts._exchange import Control
from kubeshark.hosts._languages import host_module
from kubeshark.hosts._zygote import MAX_REQUEST
from kubeshark.hosts.broker import AskedTooMuchError, Broker

__all__ = ["Child", "ChildError", "Zygote", "the_zygote"]

ZYGOTE_SECONDS = 20.0  # for one request to the zygote: a fork, or a kill
TAKE_SECONDS = 2.0  # for a child to take the broker's answer: it waits for nothing else
_PIECE = 1 << 18


class ChildError(Exception):
    """A child did not answer: it crashed, was killed at its deadline, or gave up. The child is gone."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Zygote:
    """The zygote process. Thread-safe; `close` ends it and every child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "kubeshark.hosts._zygote", str(theirs.fileno())],
                env={},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the command, not for its plugins
                cwd="/",
            )
        ours.settimeout(ZYGOTE_SECONDS)
        self._channel = ours

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def request(self, request: dict[str, Any], descriptors: tuple[int, ...] = ()) -> dict[str, Any]:
        """Send one request and return its reply; OSError if the zygote is gone or hangs (then it is ended)."""
        with self._lock:
            try:
                socket.send_fds(self._channel, [json.dumps(request).encode()], list(descriptors))
                reply = self._channel.recv(MAX_REQUEST)
            except OSError:
                self._kill()
                raise
        if not reply:
            self._kill()
            raise OSError("the plugin zygote ended")
        answer: dict[str, Any] = json.loads(reply)
        return answer

    def close(self) -> None:
        """End the zygote and all its children; bounded in time, twice is fine."""
        self._channel.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._kill()

    def _kill(self) -> None:
        self._process.kill()  # the children's parent-death signal ends them
        self._process.wait()


class _Shared:
    """This process's zygote."""

    def __init__(self) -> None:
        self.forget()
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """A forked process must not talk to its parent's zygote."""
        self._lock = threading.Lock()
        self._zygote: Zygote | None = None

    def get(self) -> Zygote:
        with self._lock:
            if self._zygote is not None and not self._zygote.alive:
                self._zygote.close()
                self._zygote = None
            if self._zygote is None:
                self._zygote = Zygote()
            return self._zygote

    def close(self) -> None:
        if self._zygote is not None:
            self._zygote.close()


_SHARED = _Shared()


def the_zygote() -> Zygote:
    """Return this process's zygote; started when first needed and again if it ended."""
    return _SHARED.get()


class Child:
    """One running plugin. Used by one thread at a time; after ChildError or `end` it is gone."""

    def __init__(
        self,
        folder: Path,
        language: str,
        memory_mb: int,
        start_seconds: float,
        compiled: Path | None = None,
        environment: Mapping[str, str] | None = None,
        asks_in: int = 0,
    ) -> None:
        """Start it; ChildError says why it would not.

        `compiled` is for languages that are compiled once more here; `environment` is all the environment it gets;
        `asks_in` is the bitmap of hooks in which it may ask the broker that `exchange` is given.
        """
        try:
            module = host_module(language)
        except LookupError as error:
            raise ChildError(f"cannot be started: {error}") from error
        self._zygote = the_zygote()
        memory = os.memfd_create("kubeshark-batch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = Control(ours)
        self._channel: socket.socket | None = None
        their_channel: socket.socket | None = None
        if asks_in:
            self._channel, their_channel = socket.socketpair()
        self._folder = folder
        self._language = language
        self.pid = 0
        try:
            os.ftruncate(memory, REQUEST_BYTES + RESULT_BYTES)
            # Without the seals a plugin could shrink the file, and our next look at it would be a SIGBUS.
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            self.request = memoryview(mmap.mmap(memory, REQUEST_BYTES))
            self.result = memoryview(mmap.mmap(memory, RESULT_BYTES, offset=REQUEST_BYTES, prot=mmap.PROT_READ))
            reply = self._zygote.request(
                {
                    "do": "start",
                    "folder": str(folder.resolve()),
                    "module": module,
                    "memory_mb": memory_mb,
                    "compiled": str(compiled.resolve()) if compiled else "",
                    "environment": dict(environment or {}),
                    "asks_in": asks_in,
                },
                (theirs.fileno(), memory, *([their_channel.fileno()] if their_channel else ())),
            )
        except OSError as error:
            self._close()
            raise ChildError(f"cannot be started: {error}") from error
        finally:
            theirs.close()
            if their_channel:
                their_channel.close()
            os.close(memory)
        if "pid" not in reply:
            self._close()
            raise ChildError(f"cannot be started: {reply['error']}")
        self.pid = reply["pid"]
        try:
            self.hooks = self._value(self._control.receive(start_seconds))
        except TimeoutError:
            raise self._late(start_seconds) from None

    def exchange(self, hook: int, length: int, seconds: float, broker: Broker | None = None) -> memoryview:
        """Let the plugin answer the request of `length` bytes in `self.request`; return a view of its result.

        Meanwhile `broker` answers what it asks for; the time that takes is not the plugin's.
        """
        try:
            if broker and self._channel:
                answer = self._exchange_with(broker, hook, length, seconds)
            else:
                answer = self._control.exchange(self.pid, hook, length, seconds)
        except TimeoutError:
            raise self._late(seconds) from None
        written = self._value(answer)
        if written > RESULT_BYTES:
            self.end()
            raise ChildError(f"claims a result of {written:,} bytes")
        return self.result[:written]

    def _exchange_with(self, broker: Broker, hook: int, length: int, seconds: float) -> bytes:
        early = bytearray()
        self._take(early)
        if early:
            self.end()
            raise ChildError("asked the broker out of turn")
        try:
            self._control.send(hook, length)
        except OSError:
            return b""
        self._serve(broker, seconds)
        return self._control.receive(0.001)  # it is there

    def usage(self) -> tuple[int, float]:
        """Return (resident bytes, CPU seconds) as the kernel counts them; zeros where it does not say."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
            ticks = int(fields[11]) + int(fields[12])
            return int(fields[21]) * mmap.PAGESIZE, ticks / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError, ValueError):
            return 0, 0.0

    def end(self) -> int:
        """Kill it and return its wait status; twice is fine."""
        self._close()
        return self.kill()

    def _close(self) -> None:
        self._control.close()
        if self._channel:
            self._channel.close()

    def kill(self) -> int:
        """Kill it and return its wait status; from any thread: an exchange under way raises ChildError."""
        pid, self.pid = self.pid, 0
        if not pid:
            return 0
        try:
            return int(self._zygote.request({"do": "end", "pid": pid})["status"])
        except OSError:
            return signal.SIGKILL  # the zygote is gone, and the child with it

    def _serve(self, broker: Broker, seconds: float) -> None:
        """Answer what the plugin asks for until it has answered, or ended; ChildError if it takes too long or lies."""
        assert self._channel
        began = time.monotonic()
        poller = select.poll()
        for end in (self._control, self._channel):
            poller.register(end, select.POLLIN)
        asked = bytearray()
        while True:
            left = began + seconds + broker.spent_s - time.monotonic()
            ready = {number for number, _ in poller.poll(max(0.0, left) * 1000)}
            if self._control.fileno() in ready:
                return
            if not ready or left < 0:  # late, though it may be sending us one byte after the other
                raise self._late(seconds)
            if not self._take(asked):
                poller.unregister(self._channel)  # it closed its end
                continue
            if len(asked) < LENGTH.size:
                continue
            end_of_it = LENGTH.size + LENGTH.unpack_from(asked)[0]
            if not LENGTH.size < end_of_it <= LENGTH.size + MAX_MESSAGE or len(asked) > end_of_it:
                self.end()
                raise ChildError(f"asks the broker with {end_of_it:,} bytes, or twice at once")
            if len(asked) == end_of_it:
                self._answer(broker, memoryview(asked)[LENGTH.size :])
                asked = bytearray()

    def _answer(self, broker: Broker, request: memoryview) -> None:
        assert self._channel
        try:
            answer = broker.answer(request)
            self._channel.settimeout(TAKE_SECONDS)
            self._channel.sendall(LENGTH.pack(len(answer)) + answer)
        except AskedTooMuchError as error:
            self.end()
            raise ChildError(str(error)) from None
        except OSError:
            self.end()
            raise ChildError("does not take the broker's answer") from None

    def _take(self, asked: bytearray) -> bool:
        """Add what is there to a request; False if nothing more will come."""
        assert self._channel
        try:
            self._channel.setblocking(False)
            piece = self._channel.recv(_PIECE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        asked += piece
        return bool(piece)

    def _value(self, answer: bytes) -> int:
        """Return the value of an OK answer; raise ChildError for everything else."""
        if 0 < len(answer) < ANSWER.size:
            self.end()
            raise ChildError(f"answered nonsense: {len(answer)} bytes")
        if not answer:
            raise ChildError(self._end_reason())
        status, value = ANSWER.unpack_from(answer)
        if status == OK:
            return int(value)
        self.end()
        text = answer[ANSWER.size :].decode("utf-8", "replace")
        raise ChildError("".join(char if char.isprintable() else " " for char in text).strip() or "failed")

    def _late(self, seconds: float) -> ChildError:
        """End it, and say where it was as far as it tells."""
        where = ""
        if self._language in ("c", "cpp") and self.pid:
            from kubeshark.hosts.c._crash import where_it_is

            where = where_it_is(self._folder, self.result, self.pid)
        self.end()
        return ChildError(f"took longer than {seconds * 1000:,.0f} ms{where}")

    def _end_reason(self) -> str:
        status = self.end()
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            if number == signal.SIGSYS:
                return "made a forbidden system call (SIGSYS)"
            try:
                name = signal.Signals(number).name
            except ValueError:
                name = f"signal {number}"
            return f"was ended by {name}{self._where(number)}"
        return f"exited with status {os.waitstatus_to_exitcode(status)}"

    def _where(self, number: int) -> str:
        """Where a C or C++ plugin was when the signal came, as far as it said; "" for the others."""
        if self._language not in ("c", "cpp"):
            return ""
        from kubeshark.hosts.c._crash import where_it_crashed

        return where_it_crashed(self._folder, self.result, number)
