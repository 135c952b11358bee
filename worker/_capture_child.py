"""The process that captures for a worker: `python -m kubeshark.worker._capture_child`, started by `_captures.py`.

It reads one line of JSON (`Order`) from standard input, and others (`Choice`) whenever it shall keep other packets. It
says how far it is in lines of JSON (`Capture`) on standard output, and ends in order at SIGTERM, or when the worker is
gone. It has recipients and no identity, and it gives up its capabilities once the interfaces are open.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Protocol

import msgspec

from kubeshark.core_capture.live import (
    JoinedSource,
    LiveOptions,
    LiveSource,
    PacketChoice,
    PacketSource,
    drop_privileges,
)
from kubeshark.core_capture.store import Retention, Scheduled, Store
from kubeshark.errors import KubesharkError
from kubeshark.pipeline import CaptureLimits, CaptureProgress
from kubeshark.pipeline.intake._capture import Capture as Capturing
from kubeshark.worker._choosing import Choice
from kubeshark.worker._governor import memory_of_capture
from kubeshark.worker._status import Capture, Order

__all__ = ["main"]

PR_SET_PDEATHSIG = 1
OUT = 1


def main() -> int:
    """Capture; return the exit code."""
    orders = os.fdopen(os.dup(0), "rb")  # not sys.stdin, which cannot be closed at the end while a thread reads it
    order = msgspec.json.decode(orders.readline(), type=Order)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != order.parent:
        return 0  # it went before we could ask to be told
    memory = memory_of_capture(order.memory_bytes, len(order.interfaces))
    try:
        sources = _sources(order, memory.ring_bytes)
        source: PacketSource = sources[0] if len(sources) == 1 else JoinedSource(sources)
        chooser = _Chooser(sources)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: source.stop())
        drop_privileges(source.capabilities)
        store = Store.open(order.store, identities=(), create=True)
        capture = Capturing(
            store,
            order.recipients,
            source,
            limits=CaptureLimits(),
            plugins=None,
            node=order.node,
            segment_seconds=order.segment_seconds,
            segment_bytes=memory.segment_bytes,
            held_segments=memory.held_segments,
            retention=_retention(order),
            cpu=order.cpu,
            on_progress=_tell(order, source, chooser),
            on_notice=_complain,
        )
        if order.choice is not None:
            chooser.turn = capture.turn
            chooser.take(order.choice)
            threading.Thread(target=chooser.listen, args=(orders,), name="kubeshark-choice", daemon=True).start()
        for problem in capture.run().problems:
            _complain(problem)
    except KubesharkError as error:
        _complain(str(error))
        return error.exit_code
    return 0


class _Choosable(PacketSource, Protocol):
    def choose(self, choice: PacketChoice) -> bool: ...


class _Chooser:
    """Has sources keep what the worker says."""

    def __init__(self, sources: list[_Choosable]) -> None:
        self.left_out = 0  # addresses that the kernel has no room for
        self.turn: Callable[[Scheduled | None, int], None] = lambda _scheduled, _since_ns: None
        self._sources = sources
        self._open = frozenset[str]()  # schedules

    def listen(self, lines: IO[bytes]) -> None:
        """Take choices until their end; what cannot be taken keeps nothing."""
        while line := lines.readline():
            try:
                self.take(msgspec.json.decode(line, type=Choice))
            except (KubesharkError, ValueError) as error:
                self.take(Choice([], []))
                _complain(f"nothing is captured, what was to be cannot be: {error}")

    def take(self, choice: Choice) -> None:
        """Keep other packets; of more addresses than the kernel has room for, as many as it has.

        While sockets change one after the other, packets are of those schedules that are open before and after it.
        """
        opened = frozenset(choice.scheduled.schedules if choice.scheduled else ())
        since_ns = time.time_ns()
        wanted = choice.packets()
        addresses = sorted(wanted.addresses or (), key=lambda each: (each.version, int(each)))
        count = len(addresses)
        while sum(source.choose(wanted) for source in self._sources) < len(self._sources):
            count = count * 3 // 4
            wanted = PacketChoice(frozenset(addresses[:count]), wanted.filters, wanted.pods)
        self.left_out = len(addresses) - count
        if self._open - opened:
            since_ns = time.time_ns()  # what came until now may be of those that close
        self._open = opened
        self.turn(choice.scheduled, since_ns)


def _sources(order: Order, ring_bytes: int) -> list[_Choosable]:
    """Open the interfaces, and probes if they are ordered; where these cannot be, packets are captured all the same."""
    closed = PacketChoice(filters=()) if order.choice else PacketChoice()
    wire = LiveSource(order.interfaces, LiveOptions(filter=order.bpf, ring_bytes=ring_bytes, choice=closed))
    if not order.probes:
        return [wire]
    from kubeshark.core_capture.ebpf import TlsSource

    try:
        return [wire, TlsSource(order.probes, must_exist=False)]
    except KubesharkError as error:
        _complain(f"TLS is not read in the clear: {error}")
        return [wire]


def _retention(order: Order) -> Retention | None:
    if order.max_bytes is None and order.max_age_ns is None:
        return None
    return Retention(order.max_bytes, max_age_ns=order.max_age_ns)


def _tell(order: Order, source: PacketSource, chooser: _Chooser) -> Callable[[CaptureProgress], None]:
    name = ",".join(order.interfaces)

    def tell(now: CaptureProgress) -> None:
        said = Capture(
            name,
            now.received,
            now.dropped,
            now.lost,
            now.acknowledged,
            excluded=now.excluded,
            left_out=chooser.left_out,
        )
        try:
            os.write(OUT, msgspec.json.encode(said) + b"\n")
        except BrokenPipeError:  # the worker is gone
            source.stop()

    return tell


def _complain(text: str) -> None:
    print(f"kubeshark: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the worker's standard error


if __name__ == "__main__":
    raise SystemExit(main())
