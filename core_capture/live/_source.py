"""A live source: several interfaces read as one, that ends when it is told to.

1. An idle interface costs nothing, and a `stop` from a thread or a signal handler is seen at once: everything waits in
   one poll, with an eventfd beside the sockets.
2. After `stop` the sockets take nothing more; what the kernel has is given out, so that the counters agree exactly.
3. An interface that goes down or away is said once, and read on when it is back.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from threading import Lock
from typing import Self

from msgspec import Struct, field
from msgspec.structs import replace

from kubeshark.core_capture._records import Interface, PacketExtra, RecordBatch, SourceMetadata
from kubeshark.core_capture.live._interfaces import ANY, NetworkInterface, is_up, look_up
from kubeshark.core_capture.live._options import Counters, LiveOptions, Notices, PacketChoice, Reader, Room
from kubeshark.core_capture.live._seen import SeenCounter, leaves_out
from kubeshark.core_capture.live._socket import (
    PacketReader,
    apply_options,
    bind,
    check_options,
    choose,
    quiesce,
    take_statistics,
)
from kubeshark.core_capture.live._time_stamps import use_adapter_clock
from kubeshark.errors import CaptureError, KubesharkError, UsageError

__all__ = ["LiveSource"]

GATHER_S = 0.1
"""With room for them packets are gathered for so long behind those before: handing a batch on costs 0.4 ms of Python,
for one packet as for ten thousand."""

NAP_S, RING_BYTES_A_SECOND = 0.04, 1.6e9
"""Between two looks meanwhile, 0.05 ms each: less where the ring would not hold what comes then at this rate."""
IMMEDIATE_NAP_S = 0.001
WATCH_S = 0.25  # between two looks at an interface that is not there
DRAIN_S = 1.0  # for the kernel to hand over what it has: a block is retired after _ring.RETIRE_MS
_NS_PER_SECOND = 1_000_000_000


class _Port(Struct):
    """One interface that is read."""

    number: int  # in metadata.interfaces
    interface: NetworkInterface  # as it is bound
    reader: PacketReader
    is_absent: bool = False  # down or gone
    is_lost: bool = False  # and will not be read again
    seen: SeenCounter | None = None  # where a filter or a choice leaves something out
    by_adapter: bool = False  # its network card was told to stamp packets
    counters: Counters = field(default_factory=Counters)

    def count(self) -> Counters:
        """Ask the kernel, which forgets what it said."""
        with suppress(OSError):  # closed: what was counted then stays
            received, dropped = take_statistics(self.reader.socket)
            self.counters.received += received
            self.counters.dropped += dropped
        if self.seen is not None:  # asked behind the other: what came in between is excluded at the most
            self.counters.excluded = max(self.seen.count() - self.counters.received, self.counters.excluded)
        own = self.reader.counters
        self.counters.delivered, self.counters.damaged = own.delivered, own.damaged
        self.counters.truncated, self.counters.stamped = own.truncated, own.stamped
        return self.counters


class LiveSource:
    """Packets of interfaces, in batches of one interface each. Use it as a context manager, or `close` it.

    A `PacketSource`: one thread reads, any may `stop`. Raises UsageError for an interface that does not exist or a
    filter that is wrong, CaptureError where capturing is not allowed. `reader` forces how: "ring" by the C core, or
    "socket" in Python.
    """

    waits = False
    capabilities: frozenset[int] = frozenset()

    def __init__(
        self, interfaces: Sequence[str], options: LiveOptions | None = None, *, reader: Reader = "auto"
    ) -> None:
        options = options or LiveOptions()
        check_options(options)
        if not interfaces:
            raise UsageError("no interface to capture on")
        if repeated := next((name for name in interfaces if interfaces.count(name) > 1), ""):
            raise UsageError(f"the interface {repeated} is given twice")
        found = [look_up(name) for name in interfaces]
        self._options = options
        self._choice = options.choice
        self._ports: list[_Port] = []
        self._turn = 0
        self._ordinal = 0
        self._is_stopping = self.is_finished = False
        self._drained_by = 0.0
        self._gather_until = 0.0
        self._nap_s = min(IMMEDIATE_NAP_S if options.is_immediate else NAP_S, options.ring_bytes / RING_BYTES_A_SECOND)
        self._look_at = 0.0
        self._notices = Notices()
        self._counting = Lock()
        self._choosing = Lock()  # held while a socket's filter is changed: what `stop` attached stays
        self.name = ", ".join(interfaces)
        self.problems: list[str] = []
        self.metadata = SourceMetadata(
            "pcapng",
            interfaces=[
                Interface(one.link_type, options.snaplen, units_per_second=_NS_PER_SECOND, name=one.name)
                for one in found
            ],
        )
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._told = select.poll()  # `stop` alone
        self._told.register(self._wake, select.POLLIN)
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        try:
            for number, one in enumerate(found):
                self._ports.append(_Port(number, one, _open_reader(one, options, reader)))
            for port in self._ports:
                if options.clock != "host":
                    self._use_adapter_clock(port)
                bind(port.reader.socket, port.interface)
                apply_options(port.reader.socket, port.interface, options)
                if leaves_out(options):
                    port.seen = SeenCounter(port.interface, options)
                    port.seen.bind(port.interface)
                self._poll.register(port.reader.socket, select.POLLIN)
        except BaseException:
            self.close()
            raise

    @property
    def reader_name(self) -> str:
        """How it reads: "ring" or "socket"."""
        from kubeshark.core_capture.live._plain import PlainReader

        return "socket" if isinstance(self._ports[0].reader, PlainReader) else "ring"

    def read(self, timeout_s: float, room: Room | None = None) -> RecordBatch | None:
        """Return the next packets, of one interface; None if none came in time or none will come: `is_finished`.

        With `room` they are written where it says, if it does: then they are the batch's data.
        """
        deadline = time.monotonic() + timeout_s
        while not self.is_finished:
            if batch := self._read_ready(room, min(self._gather_until, deadline)):
                self._gather_until = time.monotonic() + GATHER_S
                return batch
            now = time.monotonic()
            if self._is_stopping:
                if self._is_drained() or now >= self._drained_by:
                    self.is_finished = True
                    return None
                wait_s = 0.01
            else:
                self._look_for_absent(now)
                wait_s = min(max(deadline - now, 0.0), WATCH_S if self._any_absent() else timeout_s)
            self._wait(wait_s)
            if not self._is_stopping and time.monotonic() >= deadline:
                return self._read_ready(room)
        return None

    def choose(self, choice: PacketChoice) -> bool:
        """Keep other packets from now on, of all interfaces; say whether the kernel has room for so many addresses.

        From any thread. Where it has none, nothing changes. Raises UsageError for a filter that is wrong.
        """
        with self._choosing:
            if self._is_stopping or self.is_finished:
                return True
            done: list[_Port] = []
            for port in self._ports:
                if not choose(port.reader.socket, port.interface, self._options, choice):
                    for earlier in done:
                        choose(earlier.reader.socket, earlier.interface, self._options, self._choice)
                    return False
                done.append(port)
            self._choice = choice
            return True

    def stop(self) -> None:
        """End after what was captured by now. From any thread, and from a signal handler."""
        with suppress(OSError, ValueError):  # closed
            os.eventfd_write(self._wake, 1)

    def counters(self) -> list[Counters]:
        with self._counting:
            return [replace(port.count()) for port in self._ports]

    def take_notices(self) -> list[str]:
        for port in self._ports:
            if port.by_adapter and port.counters.stamped < port.counters.delivered:
                port.by_adapter = False  # it is said once
                self._notices.add(f"{port.interface.name}: packets without a time of the adapter have the host's")
        return self._notices.take()

    def close(self) -> None:
        self.is_finished = True
        with self._counting:
            for port in self._ports:
                if port.reader.socket.fileno() >= 0:
                    port.count()
                port.reader.close()
                if port.seen is not None:
                    port.seen.close()
        if self._wake >= 0:
            wake, self._wake = self._wake, -1
            os.close(wake)

    def __iter__(self) -> Iterator[RecordBatch]:
        """Yield batches until `stop`."""
        while not self.is_finished:
            if batch := self.read(1.0):
                yield batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_ready(self, room: Room | None, gather_until: float = 0.0) -> RecordBatch | None:
        """Return what some interface has, each in its turn."""
        gathers = room is not None and len(self._ports) == 1 and not self._is_stopping  # of several each has its turn
        again = (lambda: self._nap(gather_until)) if gathers else None
        for _ in self._ports:
            port = self._ports[self._turn]
            self._turn = (self._turn + 1) % len(self._ports)
            try:
                found = port.reader.read(room, again)
            except OSError as error:  # a plain socket says so where it is read
                if error.errno != errno.ENETDOWN:
                    raise
                self._note_absence(port)
                continue
            if found:
                return self._batch(port, *found)
        return None

    def _batch(self, port: _Port, data: bytes | memoryview, count: int) -> RecordBatch:
        first, self._ordinal = self._ordinal, self._ordinal + count
        extras = dict.fromkeys(range(count), PacketExtra(port.number)) if port.number else {}
        link_type = self.metadata.interfaces[port.number].link_type
        return RecordBatch(link_type, data, range(first, self._ordinal), extras)

    def _use_adapter_clock(self, port: _Port) -> None:
        name = port.interface.name
        try:
            use_adapter_clock(port.reader.socket, name, has_ring=self.reader_name == "ring")
        except CaptureError as error:
            if self._options.clock == "adapter":
                raise
            self._notices.add(f"{error.message}; they are the host's")
            return
        port.by_adapter = True
        self._notices.add(f"{name}: time stamps are the adapter's")

    def _nap(self, until: float) -> bool:
        """Let more come; False when it is time, or `stop` was called."""
        left_s = until - time.monotonic()
        return left_s > 0 and not self._told.poll(min(left_s, self._nap_s) * 1000)

    def _wait(self, wait_s: float) -> None:
        for descriptor, events in self._poll.poll(wait_s * 1000):
            if descriptor == self._wake:
                self._begin_to_stop()
            elif events & ~select.POLLIN:
                port = next(port for port in self._ports if port.reader.socket.fileno() == descriptor)
                code = port.reader.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code == errno.ENETDOWN:
                    self._note_absence(port)
                elif code:
                    port.is_lost = True
                    self._poll.unregister(descriptor)
                    self._notices.add(f"{port.interface.name} cannot be read any more: {os.strerror(code)}")

    def _begin_to_stop(self) -> None:
        self._drained_by = time.monotonic() + DRAIN_S
        self._poll.unregister(self._wake)
        with self._choosing:
            self._is_stopping = True
            for port in self._ports:
                if port.seen is not None:
                    port.seen.stop()
                with suppress(OSError):
                    quiesce(port.reader.socket)

    def _is_drained(self) -> bool:
        return all(one.received - one.dropped <= one.delivered + one.damaged for one in self.counters())

    def _any_absent(self) -> bool:
        return any(port.is_absent and not port.is_lost for port in self._ports)

    def _note_absence(self, port: _Port) -> None:
        if port.is_absent:
            return
        port.is_absent = True
        name = port.interface.name
        there = any(name == other for _, other in socket.if_nameindex())
        what = "is down" if there else "is gone"
        self._notices.add(f"{name} {what}: the capture goes on when it is back")

    def _look_for_absent(self, now: float) -> None:
        """See whether an interface is back; one that was made anew is bound anew."""
        if now < self._look_at:
            return
        self._look_at = now + WATCH_S
        for port in self._ports:
            if not port.is_absent or port.is_lost or port.interface.name == ANY:
                continue
            index = is_up(port.interface.name)
            if not index:
                continue
            try:
                if index != port.interface.index:
                    self._bind_again(port)
            except KubesharkError as error:
                port.is_lost = True
                self._notices.add(f"{port.interface.name} is back, but cannot be read: {error}")
                continue
            port.is_absent = False
            self._notices.add(f"{port.interface.name} is back")
        if all(port.is_lost for port in self._ports):
            self.is_finished = True

    def _bind_again(self, port: _Port) -> None:
        found = look_up(port.interface.name)
        if found.link_type != port.interface.link_type:
            raise UsageError("it has another kind of header now")
        if self._options.fanout is not None:
            raise UsageError("a member of a fanout group cannot be bound again")
        bind(port.reader.socket, found)
        apply_options(port.reader.socket, found, self._options)
        if port.seen is not None:
            port.seen.bind(found)
        port.interface = found


def _open_reader(interface: NetworkInterface, options: LiveOptions, how: Reader) -> PacketReader:
    if how != "socket":
        from kubeshark.core_capture.live._ring import RingReader

        try:
            return RingReader(interface, options)
        except ImportError:
            if how == "ring":
                raise
    from kubeshark.core_capture.live._plain import PlainReader

    return PlainReader(interface, options)
