"""A live source of clear text: what chosen processes send and receive over TLS by libssl (ADR 35).

It is off unless asked for: it reads the memory of other processes. It takes CAP_SYS_ADMIN, without which
perf_event_open places no uprobe (CAP_PERFMON is not enough), and CAP_SYS_PTRACE to ask what the sockets are connected
to; both also while it runs: processes come and go. /proc/PID/fd of another user's process takes CAP_DAC_READ_SEARCH.
Linux, x86-64 and arm64.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Final, Self

from kubeshark.core_capture._records import (
    LINKTYPE_IPV4,
    LINKTYPE_IPV6,
    Interface,
    PacketExtra,
    RecordBatch,
    SourceMetadata,
)
from kubeshark.core_capture.ebpf._tls_choice import PODS
from kubeshark.core_capture.ebpf._tls_events import CLOSE, Ends, TlsEvent, ends_of
from kubeshark.core_capture.ebpf._tls_packets import Conversation
from kubeshark.core_capture.ebpf._tls_probe import MAX_CONNECTIONS, TlsProbe
from kubeshark.core_capture.live import Counters, PacketChoice
from kubeshark.core_capture.live._privileges import BPF, PERFMON, SYS_ADMIN, SYS_PTRACE
from kubeshark.errors import KubesharkError

__all__ = ["TlsSource"]

MAX_BATCH: Final = 1 << 20
MAX_HELD: Final = 64 << 20  # of records that nobody has read: then the kernel's ring fills, and counts what it loses
WAKE_S: Final = 0.25
REFRESH_S: Final = 5.0
_INTERFACES: Final = ((LINKTYPE_IPV4, "libssl"), (LINKTYPE_IPV6, "libssl6"))
_SNAPLEN: Final = 262_144
_NS_PER_SECOND: Final = 1_000_000_000
_UNKNOWN: Final = "0.0.0.0"  # noqa: S104 (an address that nobody has)


class TlsSource:
    """A `PacketSource` of the clear text of `choices`: see `keys_of`. Close it, or use it as a context manager.

    Raises UsageError where nobody is chosen, EbpfError where the kernel or the rights do not allow it. Processes that
    start later are found within REFRESH_S; with `must_exist` False nobody needs to be there yet.

    A thread of its own takes events as they come: a connection that is closed soon must be asked for its addresses
    while it is there. It starts with the first `read`.
    """

    waits = False
    capabilities = frozenset({BPF, PERFMON, SYS_ADMIN, SYS_PTRACE})

    def __init__(self, choices: Sequence[str], probe: TlsProbe | None = None, *, must_exist: bool = True) -> None:
        self.name = "TLS of " + ", ".join(choices)
        self.problems: list[str] = []
        self.metadata = SourceMetadata(
            "pcapng",
            interfaces=[
                Interface(link_type, _SNAPLEN, units_per_second=_NS_PER_SECOND, name=name)
                for link_type, name in _INTERFACES
            ],
        )
        self.unplaced = 0  # connections whose addresses are not known
        self._choice = PacketChoice()
        self._are_pods = PODS in choices
        self._is_told = False  # of another choice, which the thread takes over
        self._notices: list[str] = []
        self._trouble = ""
        self._conversations: OrderedDict[tuple[int, int], Conversation] = OrderedDict()
        self._delivered = [0, 0]
        self._ordinal = 0
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, bytes]] = deque()  # interface, record
        self._held = 0
        self._has_ended = self._is_closed = False
        self._failure: BaseException | None = None  # of the thread: `read` raises it
        self._thread: threading.Thread | None = None
        self._probe = probe or TlsProbe(choices, must_exist=must_exist)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    @property
    def is_finished(self) -> bool:
        return self._is_closed or (self._has_ended and not self._waiting and self._failure is None)

    def read(self, timeout_s: float) -> RecordBatch | None:
        """Return what came, of one link type; None if nothing did in that time."""
        if self._thread is None and not self._is_closed:
            self._thread = threading.Thread(target=self._take, name="kubeshark-tls", daemon=True)
            self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._has_ended or self._is_closed, timeout_s)
            if not self._waiting:
                failure, self._failure = self._failure, None
                if failure is not None:
                    raise failure
                return None
            place, records, size = self._waiting[0][0], [], 0
            while self._waiting and self._waiting[0][0] == place and size < MAX_BATCH:
                _, record = self._waiting.popleft()
                records.append(record)
                size += len(record)
            self._held -= size
            self._changed.notify_all()
        first, self._ordinal = self._ordinal, self._ordinal + len(records)
        self._delivered[place] += len(records)
        extras = dict.fromkeys(range(len(records)), PacketExtra(place)) if place else {}
        return RecordBatch(_INTERFACES[place][0], b"".join(records), range(first, self._ordinal), extras)

    def choose(self, choice: PacketChoice) -> bool:
        """Keep other connections from now on. Its filters are for packets of a wire: here only whether there are any.

        Of processes that were chosen as `PODS` those of its pods are read, within WAKE_S, whatever address they talk
        to. What is read of others is thrown away at once. From any thread; True, as `LiveSource.choose`.
        """
        self._choice = choice
        self._is_told = True
        return True

    def stop(self) -> None:
        with suppress(OSError, ValueError):  # closed
            os.eventfd_write(self._wake, 1)

    def counters(self) -> list[Counters]:
        """By interface; what found no room in the ring is said of the first."""
        lost = self.counts()["events_lost"]
        both = [Counters(delivered=count, received=count) for count in self._delivered]
        both[0].dropped = lost
        both[0].received += lost
        return both

    def counts(self) -> dict[str, int]:
        """What the kernel counted: see TlsProbe."""
        return self._probe.counts()

    def take_notices(self) -> list[str]:
        with self._changed:
            notices, self._notices = self._notices, []
        return notices

    def close(self) -> None:
        if self._is_closed:
            return
        self.stop()
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._probe.close()
        os.close(self._wake)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> None:
        """What the thread does, until it is told to stop: then once more what the ring holds."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._probe, select.POLLIN)
        is_stopping, refreshed = False, time.monotonic()
        try:
            while not is_stopping and not self._is_closed:
                if self._is_told or time.monotonic() - refreshed >= REFRESH_S:
                    self._refresh()
                    refreshed = time.monotonic()
                is_stopping = any(ready == self._wake for ready, _ in poll.poll(WAKE_S * 1000))
                clock_ns = time.time_ns() - time.monotonic_ns()
                for event in self._probe.events():
                    self._give(list(self._packets(event, event.time_ns + clock_ns)))
        except BaseException as error:  # noqa: BLE001 (whoever reads raises it)
            self._failure = error
        finally:
            with self._changed:
                self._has_ended = True
                self._changed.notify_all()

    def _refresh(self) -> None:
        self._is_told, choice = False, self._choice
        if self._are_pods:
            self._probe.pods = choice.pods if choice.filters else frozenset()
        try:
            self._probe.refresh()
        except (KubesharkError, OSError) as error:
            if str(error) != self._trouble:  # said once, not every time
                self._trouble = str(error)
                with self._changed:
                    self._notices.append(f"TLS of processes that came later is not read: {error}")

    def _give(self, records: list[tuple[int, bytes]]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._held < MAX_HELD or self._is_closed)
            self._waiting += records
            self._held += sum(len(record) for _, record in records)
            self._changed.notify_all()

    def _packets(self, event: TlsEvent, time_ns: int) -> Iterator[tuple[int, bytes]]:
        """Yield (interface, record) of an event; `time_ns` of the wall clock."""
        key = (event.process, event.ssl)
        conversation = self._conversations.get(key)
        if event.kind == CLOSE:
            if conversation is not None:
                del self._conversations[key]
                if not self._is_chosen(conversation.ends):
                    return
                for packet in conversation.end(time_ns):
                    yield conversation.link_type - LINKTYPE_IPV4, packet
            return
        if conversation is None:
            conversation = self._conversations[key] = Conversation(self._ends(event))
            if len(self._conversations) > MAX_CONNECTIONS:
                self._conversations.popitem(last=False)
        self._conversations.move_to_end(key)
        if not self._is_chosen(conversation.ends):
            return
        for packet in conversation.data(event.kind, event.at, event.data, time_ns):
            yield conversation.link_type - LINKTYPE_IPV4, packet

    def _ends(self, event: TlsEvent) -> Ends:
        found = ends_of(event.process, event.descriptor) if event.descriptor >= 0 else None
        if found is not None:
            return found
        if not self.unplaced:
            with self._changed:
                self._notices.append(f"the addresses of a connection of process {event.process} are not known")
        self.unplaced += 1  # told apart by a port that nobody has
        return Ends((_UNKNOWN, self.unplaced & 0xFFFF), (_UNKNOWN, 0), is_server=False)

    def _is_chosen(self, ends: Ends) -> bool:
        choice = self._choice
        if not choice.filters:
            return False
        if self._are_pods:  # the kernel asked the process who it is: also what pods say on their loopback is theirs
            return bool(choice.pods)
        addresses = choice.addresses
        return addresses is None or any(ip_address(end[0]) in addresses for end in (ends.local, ends.remote))
