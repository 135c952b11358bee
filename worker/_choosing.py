"""What a worker captures now: packets of the pods that a hub names, in the windows of schedules.

1. Nothing is captured of pods before a hub named them, and nothing once no hub did for LEASE_S: their addresses may be
   others' by then.
2. The worker's own clock opens and closes windows: no hub is needed for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Protocol

import msgspec

from kubeshark.core_capture.live import PacketChoice

__all__ = ["LEASE_S", "MAX_SELECTION_BYTES", "Choice", "Choosing", "Chosen", "Schedules", "Selection", "SelectionError"]

LEASE_S = 300.0
"""A hub names pods every second; this is for one that is restarted, or moves to another node."""

MAX_SELECTION_BYTES = 1 << 20
MAX_ADDRESSES = 10_000

Address = Annotated[str, msgspec.Meta(max_length=45)]
Uid = Annotated[str, msgspec.Meta(max_length=64, pattern="^[0-9A-Za-z_-]+$")]


class Selection(msgspec.Struct, frozen=True):
    """What a hub names: addresses of the selected pods on a node."""

    node: Annotated[str, msgspec.Meta(max_length=253)]
    addresses: Annotated[list[Address], msgspec.Meta(max_length=MAX_ADDRESSES)]
    uids: Annotated[list[Uid], msgspec.Meta(max_length=MAX_ADDRESSES)] = []  # of the selected pods, for probes
    pods: int = 0  # with these addresses
    waiting: int = 0  # selected, and have no address yet
    sharing: int = 0  # selected, but their address is the node's: not captured


class Choice(msgspec.Struct, frozen=True):
    """A `PacketChoice` on its way to the process that captures."""

    addresses: list[str] | None
    filters: list[str]
    pods: list[str] = []

    def packets(self) -> PacketChoice:
        if self.addresses is None:
            return PacketChoice(None, tuple(self.filters))
        return PacketChoice(frozenset(map(ip_address, self.addresses)), tuple(self.filters), frozenset(self.pods))


class Chosen(msgspec.Struct, frozen=True):
    """What is captured now, as the status says it."""

    why: str  # why nothing is, "" if something is
    schedules: list[str] = []  # whose window is open
    until: float | None = None  # when a window opens or closes next, seconds since 1970; None: there are none
    pods: int | None = None  # None: all packets, a hub does not name pods
    addresses: int = 0
    left_out: int = 0  # of them: the kernel has no room for more
    waiting: int = 0
    sharing: int = 0


class SelectionError(Exception):
    """A selection cannot be taken: why."""


class _Moment(Protocol):
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def filters(self) -> tuple[str, ...]: ...
    @property
    def until(self) -> float: ...


class Schedules(Protocol):
    """`kubeshark.settings.Windows`."""

    def at(self, now: float) -> _Moment: ...
    def said(self, when: float) -> str: ...


class Choosing:
    """Knows the choice of every moment; threads may ask and tell."""

    def __init__(
        self,
        node: str,
        *,
        selects: bool = False,
        schedules: Schedules | None = None,
        clock: Callable[[], float] = time.time,
        lease_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`selects`: a hub names pods; else packets of all are captured."""
        self.node, self.selects, self.schedules = node, selects, schedules
        self._clock, self._lease_clock = clock, lease_clock
        self._selection: Selection | None = None
        self._heard = 0.0
        self._changed = threading.Condition()

    def select(self, selection: Selection) -> None:
        """Take what a hub names from now on, in place of what was; raise SelectionError."""
        if not self.selects:
            raise SelectionError("this worker captures all packets: start it with --hub-selects")
        if selection.node != self.node:
            raise SelectionError(f"these pods are of node {selection.node}, this is {self.node}")
        for address in selection.addresses:
            try:
                ip_address(address)
            except ValueError:
                raise SelectionError(f"{address!r} is no address") from None
        with self._changed:
            self._heard = self._lease_clock()
            if selection != self._selection:
                self._selection = selection
                self._changed.notify_all()

    def now(self) -> Choice:
        """Return what is to be captured."""
        selection, filters = self._selected(), [""]
        if self.schedules is not None:
            filters = list(dict.fromkeys(self.schedules.at(self._clock()).filters))
        if not self.selects:
            return Choice(None, filters)
        if selection is None:
            return Choice([], filters)
        return Choice(sorted(set(selection.addresses)), filters, sorted(set(selection.uids)))

    def wait(self, longest_s: float) -> None:
        """Wait until the choice may be another one, at most so long."""
        if self.schedules is not None:
            now = self._clock()
            longest_s = min(longest_s, max(self.schedules.at(now).until - now, 0.0))
        with self._changed:
            self._changed.wait(longest_s)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def said(self, left_out: int) -> Chosen | None:
        """Return what the status says, None where everything is captured always; `left_out` by the kernel."""
        if not self.selects and self.schedules is None:
            return None
        why, names, until = "", [], None
        if self.schedules is not None:
            moment = self.schedules.at(self._clock())
            names, until = list(moment.names), moment.until
            if not names:
                why = f"no schedule has its time before {self.schedules.said(until)}"
        if not self.selects:
            return Chosen(why, names, until)
        selection = self._selected()
        if selection is None:
            return Chosen(self._unheard(), names, until, pods=0)
        addresses = len(set(selection.addresses))
        return Chosen(
            why or ("" if addresses else "no pod on this node is selected"),
            names,
            until,
            pods=selection.pods,
            addresses=addresses,
            left_out=min(left_out, addresses),
            waiting=selection.waiting,
            sharing=selection.sharing,
        )

    def _selected(self) -> Selection | None:
        if self._selection is None or self._lease_clock() - self._heard > LEASE_S:
            return None
        return self._selection

    def _unheard(self) -> str:
        if self._selection is None:
            return "no hub has named pods yet"
        return f"no hub has named pods for {LEASE_S:,.0f} s"
