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
from kubeshark.core_capture.store import Scheduled

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
    scheduled: Scheduled | None = None  # in whose windows it is; None: in none, or there are no schedules

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
    keep_s: int = 0  # how long these schedules keep what is captured, 0: as the store says
    as_store: bool = True  # not before the store says so, too
    archived: bool = True  # they upload it, where there is an archive


class SelectionError(Exception):
    """A selection cannot be taken: why."""


class _Moment(Protocol):
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def filters(self) -> tuple[str, ...]: ...
    @property
    def until(self) -> float: ...
    @property
    def keep_s(self) -> int: ...
    @property
    def as_store(self) -> bool: ...
    @property
    def uploads(self) -> bool: ...


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
        selection, filters, scheduled = self._selected(), [""], None
        if self.schedules is not None:
            moment = self.schedules.at(self._clock())
            filters, scheduled = list(dict.fromkeys(moment.filters)), _scheduled(moment)
        if not self.selects:
            return Choice(None, filters, scheduled=scheduled)
        if selection is None:
            return Choice([], filters, scheduled=scheduled)
        return Choice(sorted(set(selection.addresses)), filters, sorted(set(selection.uids)), scheduled)

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
        why, names, until, scheduled = "", [], None, None
        if self.schedules is not None:
            moment = self.schedules.at(self._clock())
            names, until, scheduled = list(moment.names), moment.until, _scheduled(moment)
            if not names:
                why = f"no schedule has its time before {self.schedules.said(until)}"
        if not self.selects:
            return _with(scheduled, Chosen(why, names, until))
        selection = self._selected()
        if selection is None:
            return _with(scheduled, Chosen(self._unheard(), names, until, pods=0))
        addresses = len(set(selection.addresses))
        chosen = Chosen(
            why or ("" if addresses else "no pod on this node is selected"),
            names,
            until,
            pods=selection.pods,
            addresses=addresses,
            left_out=min(left_out, addresses),
            waiting=selection.waiting,
            sharing=selection.sharing,
        )
        return _with(scheduled, chosen)

    def _selected(self) -> Selection | None:
        if self._selection is None or self._lease_clock() - self._heard > LEASE_S:
            return None
        return self._selection

    def _unheard(self) -> str:
        if self._selection is None:
            return "no hub has named pods yet"
        return f"no hub has named pods for {LEASE_S:,.0f} s"


def _with(scheduled: Scheduled | None, chosen: Chosen) -> Chosen:
    """Return what is captured with what the open schedules say of it."""
    if scheduled is None:
        return chosen
    return msgspec.structs.replace(
        chosen, keep_s=scheduled.keep_s, as_store=scheduled.as_store, archived=scheduled.archived
    )


def _scheduled(moment: _Moment) -> Scheduled | None:
    if not moment.names:
        return None
    return Scheduled(moment.names, moment.keep_s, moment.as_store, moment.uploads)
