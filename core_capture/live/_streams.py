"""Captures that others make and send while they make them: over a pipe, over TCP, or many senders at once.

1. Packets are given out as they come: nothing waits for a buffer to fill.
2. A sender is made to wait while its packets are not taken; none is lost.
3. What senders can make us hold is bounded: packets by the queue, names and secrets by KEPT_BYTES for all together.
   What one sends wrong ends that one alone.
"""

from __future__ import annotations

import os
import queue
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import BinaryIO, Self, cast

from msgspec import Struct, field
from msgspec.structs import replace

from kubeshark.core_capture._records import CaptureReader, PacketExtra, RecordBatch, SourceMetadata
from kubeshark.core_capture.files import SECTION_HEADER, open_capture
from kubeshark.core_capture.live._options import Counters, Notices
from kubeshark.errors import CaptureError, InputError, UsageError

__all__ = ["StreamSource", "connect", "listen", "parse_address", "standard_input"]

MAX_SENDERS = 16
MAX_INTERFACES = 1 << 16  # of all senders: names come and go
KEPT_BYTES = 64 << 20
BATCHES = 32  # on their way, of at most a MiB each
BATCH_BYTES = 1 << 20
GRACE_S = 0.3  # after `stop`: who sends got the same Ctrl-C, and writes what it has
CONNECT_S = 10.0
LOOPBACK = "127.0.0.1"
PLAIN = PacketExtra()


class Interruptible:
    """A file descriptor read as it comes; its end is also that of a source that was stopped."""

    def __init__(self, descriptor: int, wake: int) -> None:
        self._descriptor, self._wake = descriptor, wake
        self._ends_at = 0.0  # once stopped
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._poll.register(wake, select.POLLIN)

    def read1(self, size: int) -> bytes:
        while True:
            wait_ms = max(self._ends_at - time.monotonic(), 0.0) * 1000 if self._ends_at else None
            ready = {descriptor for descriptor, _ in self._poll.poll(wait_ms)}
            if self._wake in ready:
                self._poll.unregister(self._wake)
                self._ends_at = time.monotonic() + GRACE_S
            if self._descriptor in ready:
                return os.read(self._descriptor, min(size, BATCH_BYTES))
            if self._ends_at and not ready:
                return b""

    read = read1


class _Sender(Struct):
    """One stream, and where its interfaces are in the metadata of all."""

    label: str
    places: list[int] = field(default_factory=list)
    blocks: int = 0  # of its metadata that were taken over
    packets: int = 0


class StreamSource:
    """Streams of pcap or pcapng as one `PacketSource`; made by `standard_input`, `connect` and `listen`.

    A single stream keeps its metadata as it is. If it cannot be read at all, `read` raises InputError.
    """

    waits = True
    capabilities: frozenset[int] = frozenset()

    def __init__(self, name: str, *, is_single: bool) -> None:
        self.name = name
        self.metadata = SourceMetadata("pcapng")
        self.problems: list[str] = []
        self._is_single = is_single
        self._counts = Counters()
        self._notices = Notices()
        self._batches: queue.Queue[RecordBatch] = queue.Queue(BATCHES)
        self._threads: list[threading.Thread] = []
        self._first: Callable[[], None] | None = None  # what the first thread does, until it runs
        self._closing: list[Callable[[], object]] = []
        self._lock = threading.Lock()  # guards the metadata, and who sends
        self._senders = 0
        self._kept_bytes = 0
        self._ordinal = 0
        self._failure: InputError | None = None
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)  # readable for good, once stopped

    @property
    def is_finished(self) -> bool:
        return self._has_ended() and self._failure is None

    def read(self, timeout_s: float) -> RecordBatch | None:
        if self._first is not None:
            first, self._first = self._first, None
            self.start(first)
        try:
            batch = self._batches.get(timeout=min(timeout_s, 0.05) if self._batches.empty() else None)
        except queue.Empty:
            if self._failure is not None and self._has_ended():
                failure, self._failure = self._failure, None
                raise failure from None
            return None
        batch.ordinals = range(self._ordinal, self._ordinal + batch.count)
        self._ordinal += batch.count
        self._counts.received += batch.count
        self._counts.delivered += batch.count
        return batch

    def stop(self) -> None:
        with suppress(OSError, ValueError):
            os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        self.stop()
        self._first = None
        while not self._has_ended():
            with suppress(queue.Empty):
                self._batches.get(timeout=0.05)
        for close in self._closing:
            close()
        self._closing = []
        if self._wake >= 0:
            wake, self._wake = self._wake, -1
            os.close(wake)

    def counters(self) -> list[Counters]:
        return [replace(self._counts)]

    def take_notices(self) -> list[str]:
        return self._notices.take()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin_with(self, target: Callable[[], None]) -> None:
        """Run something when the source is first read: capabilities may be dropped until then."""
        self._first = target

    def start(self, target: Callable[[], None]) -> None:
        """Run something that ends when the source is stopped."""
        thread = threading.Thread(target=target, name="kubeshark-stream", daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()

    def feed(self, descriptor: int, label: str) -> None:
        """Read one stream to its end."""
        sender = _Sender(label)
        raw = cast(BinaryIO, Interruptible(descriptor, self._wake))
        try:
            with open_capture(raw, name=label, batch_bytes=BATCH_BYTES, eager=True) as reader:
                for batch in reader:
                    self._batches.put(self._taken_over(reader, batch, sender))
                    sender.packets += batch.count
                self._merge(reader, sender)
                for problem in reader.problems:
                    self._say(f"{label}: {problem}")
        except InputError as error:
            self._say(str(error), error)
        except OSError as error:
            self._say(f"{label}: {error.strerror or error}")
        if not self._is_single:
            self._notices.add(f"{label} has ended: {sender.packets:,} packets")

    def accept(self, listener: socket.socket) -> None:
        """Take senders until the source is stopped."""
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while self._wake not in {descriptor for descriptor, _ in poll.poll()}:
            try:
                connection, address = listener.accept()
            except OSError:
                continue  # it went before it was taken
            label = f"{address[0]}:{address[1]}"
            with self._lock:
                is_full = self._senders >= MAX_SENDERS
                self._senders += not is_full
            if is_full:
                self._notices.add(f"{label} was refused: {MAX_SENDERS} senders are there already")
                connection.close()
                continue
            self._notices.add(f"{label} sends")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self.start(partial(self._serve, connection, label))

    def keep(self, close: Callable[[], object]) -> None:
        """Have something closed with the source."""
        self._closing.append(close)

    def _has_ended(self) -> bool:
        is_idle = self._first is None and not any(thread.is_alive() for thread in self._threads)
        return is_idle and self._batches.empty()

    def _serve(self, connection: socket.socket, label: str) -> None:
        try:
            with connection:
                self.feed(connection.fileno(), label)
        finally:
            with self._lock:
                self._senders -= 1

    def _say(self, text: str, error: InputError | None = None) -> None:
        if self._is_single and error is not None:
            self._failure = error
        elif self._is_single:
            self.problems.append(text)
        else:
            self._notices.add(text)

    def _taken_over(self, reader: CaptureReader, batch: RecordBatch, sender: _Sender) -> RecordBatch:
        """Return the batch with interfaces by their place among those of all senders."""
        self._merge(reader, sender)
        places = sender.places
        if places == list(range(len(places))):
            return batch
        shared = {place: PacketExtra(place) for place in places}
        extras = {}
        for at in range(batch.count):
            extra = batch.extras.get(at, PLAIN)
            place = places[extra.interface]
            is_plain = extra == replace(PLAIN, interface=extra.interface)
            if place or not is_plain:
                extras[at] = shared[place] if is_plain else replace(extra, interface=place)
        return replace(batch, extras=extras)

    def _merge(self, reader: CaptureReader, sender: _Sender) -> None:
        """Take over what a stream said about itself since the last time."""
        theirs, ours = reader.metadata, self.metadata
        with self._lock:
            if self._is_single:
                ours.format, ours.byte_order = theirs.format, theirs.byte_order
            for interface in theirs.interfaces[len(sender.places) :]:
                if len(ours.interfaces) >= MAX_INTERFACES:
                    raise InputError(f"more than {MAX_INTERFACES:,} interfaces", file=sender.label)
                sender.places.append(len(ours.interfaces))
                name = interface.name or sender.label
                ours.interfaces.append(interface if self._is_single else replace(interface, section=0, name=name))
            fresh = theirs.blocks[sender.blocks :]
            sender.blocks += len(fresh)
            for block in fresh:
                if self._is_single:
                    ours.blocks.append(block)
                elif block.block_type != SECTION_HEADER and block.block_type != 5:  # statistics count for one sender
                    self._kept_bytes += len(block.body) + 128
                    if self._kept_bytes > KEPT_BYTES:
                        raise InputError(f"more than {KEPT_BYTES:,} bytes of names and secrets", file=sender.label)
                    ours.blocks.append(replace(block, before_ordinal=self._ordinal, section=0))


def standard_input(name: str = "standard input", descriptor: int | None = None) -> StreamSource:
    """Return what comes over standard input, or another open pipe."""
    source = StreamSource(name, is_single=True)
    number = sys.stdin.fileno() if descriptor is None else descriptor
    source.begin_with(lambda: source.feed(number, name))
    return source


def connect(address: str) -> StreamSource:
    """Return what a PCAP-over-IP server sends; raise CaptureError, UsageError."""
    host, port = parse_address(address)
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_S)
    except OSError as error:
        raise CaptureError(f"cannot connect to {address}: {error.strerror or error}") from error
    connection.settimeout(None)
    source = StreamSource(address, is_single=True)
    source.keep(connection.close)
    source.begin_with(lambda: source.feed(connection.fileno(), address))
    return source


def listen(address: str) -> tuple[StreamSource, int]:
    """Return what senders of PCAP-over-IP send, and the port they come to; raise CaptureError, UsageError."""
    host, port = parse_address(address)
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=MAX_SENDERS
        )
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)  # the error's own text names the address twice
        raise CaptureError(f"cannot listen on {address}: {why}") from error
    bound = int(listener.getsockname()[1])
    source = StreamSource(f"{host}:{bound}", is_single=False)
    source.keep(listener.close)
    source.begin_with(lambda: source.accept(listener))
    return source, bound


def parse_address(text: str) -> tuple[str, int]:
    """Read HOST:PORT, [IPv6]:PORT or PORT, which is this machine alone; raise UsageError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdigit() and int(port) <= 0xFFFF):
        raise UsageError(f"{text!r} is no address", hint="write HOST:PORT, [::1]:PORT or PORT")
    return host or LOOPBACK, int(port)
