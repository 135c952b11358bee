"""Recorded connections as what is judged: a row for each first packet, with all that goes or comes along with it.

* TCP, UDP and SCTP: a row a connection, client to server. The firewall sees the same, if it sees it from its start.
* ICMP: a row a pair of hosts, direction, type and code, from the packets, because the index does not know types. Echo
  replies go with their requests, and errors with the connection that they quote.
* Other protocols have no state: a row for each direction that had packets.
* Where later fragments are judged too: a row more for each direction of a connection that had any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import Decoded, FlowBit, PacketBit, Tunnel, load_core
from kubeshark.core_capture._groups import Groups
from kubeshark.errors import Damaged, KubesharkError
from kubeshark.firewall.rules._model import ECHO_REPLIES, ICMP, ICMP_ERRORS, ICMPV6, SCTP, TCP, UDP
from kubeshark.firewall.rules._vectors import ASKED, NONE

__all__ = ["Items", "Recorded", "make_items"]

STATEFUL = (TCP, UDP, SCTP)


class SegmentLike(Protocol):
    @property
    def link_type(self) -> int: ...

    def gathered(self, rows: NDArray[Any]) -> tuple[bytes | memoryview, NDArray[Any], NDArray[Any]]: ...


class Recorded(Protocol):
    """Connections that begin in one segment."""

    @property
    def segment(self) -> SegmentLike: ...
    @property
    def rows(self) -> NDArray[Any]:
        """Their rows in the segment's flow table."""
        ...

    @property
    def flows(self) -> NDArray[Any]:
        """FLOW rows, parts in other segments added up."""
        ...

    def entry_id(self, at: int) -> str:
        """Return the id that opens the connection at a place of `rows`, "" if nothing does."""
        ...


@dataclass(slots=True)
class Items:
    asked: NDArray[Any]  # ASKED
    place: NDArray[np.intp]  # of its connection among those recorded
    packets: NDArray[np.int64]
    bytes: NDArray[np.int64]  # of transport payload
    first_ns: NDArray[np.uint64]
    last_ns: NDArray[np.uint64]
    is_tunnelled: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.asked)


def make_items(recorded: Recorded, problems: list[KubesharkError], *, with_fragments: bool = False) -> Items:
    """Return what is judged of some connections. ICMP in damaged places is left out, and told in `problems`."""
    flows = recorded.flows
    transport = flows["transport"]
    is_icmp = (transport == ICMP) | (transport == ICMPV6)
    is_stateful = np.isin(transport, STATEFUL)
    parts = [_towards_server(flows, np.flatnonzero(is_stateful))]
    other = np.flatnonzero(~is_stateful & ~is_icmp)
    parts += [_one_way(flows, other, direction) for direction in (0, 1) if len(other)]
    if with_fragments:
        parts += [_later_fragments(flows, direction) for direction in (0, 1)]
    if is_icmp.any():
        parts.append(_icmp(recorded, np.flatnonzero(is_icmp), parts[0], problems))
    return Items(*(np.concatenate([getattr(part, name) for part in parts]) for name in Items.__slots__))


def _towards_server(flows: NDArray[Any], places: NDArray[np.intp]) -> Items:
    rows = flows[places]
    asked = _ends(rows, rows["client"] == 0)
    packets = rows["packets"].sum(axis=1, dtype=np.int64)
    return _items(rows, asked, places, packets, rows["bytes"].sum(axis=1).astype(np.int64))


def _one_way(flows: NDArray[Any], places: NDArray[np.intp], direction: int) -> Items:
    places = places[flows["packets"][places, direction] > 0]
    rows = flows[places]
    asked = _ends(rows, np.full(len(rows), direction == 0))
    packets, size = rows["packets"][:, direction].astype(np.int64), rows["bytes"][:, direction].astype(np.int64)
    return _items(rows, asked, places, packets, size)


def _later_fragments(flows: NDArray[Any], direction: int) -> Items:
    """Return a row of no packets for each connection with fragments: how many there were, the index does not say."""
    has_fragments = (flows["bits"] & int(FlowBit.FRAGMENTS)) != 0
    places = np.flatnonzero(has_fragments & (flows["packets"][:, direction] > 0))
    rows = flows[places]
    asked = _ends(rows, np.full(len(rows), direction == 0))
    asked["src_port"] = asked["dst_port"] = 0
    asked["is_later"] = True
    nothing = np.zeros(len(rows), dtype=np.int64)
    return _items(rows, asked, places, nothing, nothing)


def _items(
    rows: NDArray[Any], asked: NDArray[Any], places: NDArray[np.intp], packets: NDArray[Any], size: NDArray[Any]
) -> Items:
    return Items(asked, places, packets, size, rows["first_ns"], rows["last_ns"], rows["tunnel"] != Tunnel.NONE)


def _ends(rows: NDArray[Any], from_a: NDArray[np.bool_]) -> NDArray[Any]:
    """Return ASKED rows from a to b, or the other way."""
    asked = np.zeros(len(rows), dtype=ASKED)
    asked["src"] = np.where(from_a[:, None], rows["a"], rows["b"])
    asked["dst"] = np.where(from_a[:, None], rows["b"], rows["a"])
    asked["src_port"] = np.where(from_a, rows["port_a"], rows["port_b"])
    asked["dst_port"] = np.where(from_a, rows["port_b"], rows["port_a"])
    asked["version"], asked["protocol"] = rows["ip_version"], rows["transport"]
    asked["icmp_type"] = asked["icmp_code"] = NONE
    return asked


class _Kind(NamedTuple):
    """ICMP of one connection, direction, type and code."""

    place: int
    direction: int
    is_later: bool
    type: int
    code: int


@dataclass(slots=True)
class _Count:
    packets: int = 0
    bytes: int = 0
    first_ns: int = 2**64 - 1
    last_ns: int = 0

    def add(self, packets: int, size: int, first_ns: int, last_ns: int) -> None:
        self.packets += packets
        self.bytes += size
        self.first_ns, self.last_ns = min(self.first_ns, first_ns), max(self.last_ns, last_ns)


def _icmp(recorded: Recorded, places: NDArray[np.intp], stateful: Items, problems: list[KubesharkError]) -> Items:
    flows = recorded.flows
    try:
        data, rows, starts = recorded.segment.gathered(recorded.rows[places])
    except Damaged as error:
        error.forget_frames()
        problems.append(error)
        return _items(flows[:0], np.zeros(0, dtype=ASKED), places[:0], np.zeros(0, np.int64), np.zeros(0, np.int64))
    place_of = {int(recorded.rows[place]): int(place) for place in places}
    owners = np.array([place_of[int(row)] for row in rows], dtype=np.int64)
    decoded = load_core().decode(data, recorded.segment.link_type)
    counts: dict[_Kind, _Count] = {}
    related = _Related(flows, stateful)
    for kind, packets in _kinds(decoded, owners, starts):
        times, sizes = decoded.packets["time_ns"][packets], decoded.packets["payload_length"][packets]
        if not kind.is_later and kind.type in ICMP_ERRORS[int(flows["transport"][kind.place])]:
            packets = np.array([p for p in packets.tolist() if not related.takes(decoded, p)], dtype=np.int64)
            times, sizes = decoded.packets["time_ns"][packets], decoded.packets["payload_length"][packets]
        if len(packets):
            counts.setdefault(kind, _Count()).add(len(packets), int(sizes.sum()), int(times.min()), int(times.max()))
    _fold_replies(flows, counts)
    kinds = list(counts)
    chosen = np.array([kind.place for kind in kinds], dtype=np.intp)
    asked = _ends(flows[chosen], np.array([kind.direction == 0 for kind in kinds], dtype=np.bool_))
    for name in ("icmp_type", "icmp_code"):
        asked[name] = [getattr(kind, name.removeprefix("icmp_")) for kind in kinds]
    asked["is_later"] = [kind.is_later for kind in kinds]
    numbers = [(count.packets, count.bytes, count.first_ns, count.last_ns) for count in counts.values()]
    packets_, sizes_, firsts, lasts = (
        (np.array(column) for column in zip(*numbers, strict=True)) if numbers else [np.zeros(0)] * 4
    )
    return Items(
        asked,
        chosen,
        packets_.astype(np.int64),
        sizes_.astype(np.int64),
        firsts.astype(np.uint64),
        lasts.astype(np.uint64),
        flows["tunnel"][chosen] != Tunnel.NONE,
    )


def _kinds(decoded: Decoded, owners: NDArray[Any], starts: NDArray[Any]) -> Iterator[tuple[_Kind, NDArray[Any]]]:
    """Yield each kind of ICMP with its packets. What a tunnel's inner packets are is not looked at again."""
    packets = decoded.packets
    chosen = np.flatnonzero(np.isin(packets["transport"], (ICMP, ICMPV6)))
    if not len(chosen):
        return
    owner = owners[np.searchsorted(starts, packets["offset"][chosen], "right") - 1]
    kind = np.zeros(len(chosen), dtype=np.int64)
    data = np.frombuffer(decoded.data, dtype=np.uint8)
    in_arena = (packets["bits"][chosen] & int(PacketBit.ARENA)) != 0
    has_type = packets["payload_length"][chosen] >= 2
    plain = np.flatnonzero(has_type & ~in_arena)
    where = packets["offset"][chosen[plain]].astype(np.int64) + packets["payload_offset"][chosen[plain]]
    kind[plain] = data[where].astype(np.int64) << 8 | data[where + 1]
    for at in np.flatnonzero(has_type & in_arena).tolist():
        kind[at] = int.from_bytes(decoded.payload(int(chosen[at]))[:2], "big")
    keys = owner << 20 | packets["direction"][chosen].astype(np.int64) << 17 | (~has_type).astype(np.int64) << 16 | kind
    groups = Groups(keys)
    order = np.argsort(groups.number, kind="stable")
    for key, members in zip(groups.known.tolist(), np.split(order, np.cumsum(groups.counts)[:-1]), strict=True):
        yield _Kind(key >> 20, key >> 17 & 1, bool(key >> 16 & 1), key >> 8 & 0xFF, key & 0xFF), chosen[members]


def _fold_replies(flows: NDArray[Any], counts: dict[_Kind, _Count]) -> None:
    """Count echo replies with their requests."""
    asking = {(kind.place, kind.direction, kind.type): kind for kind in counts if not kind.is_later}
    for kind in list(counts):
        request = ECHO_REPLIES.get((int(flows["transport"][kind.place]), kind.type))
        if kind.is_later or request is None:
            continue
        if (asked := asking.get((kind.place, 1 - kind.direction, request))) is not None:
            count = counts.pop(kind)
            counts[asked].add(count.packets, count.bytes, count.first_ns, count.last_ns)


class _Related:
    """Adds ICMP errors to the connection that they quote, if that is among those recorded."""

    def __init__(self, flows: NDArray[Any], stateful: Items) -> None:
        self._flows, self._stateful = flows, stateful
        self._item_of: dict[tuple[bytes, bytes, int, int, int], int] | None = None

    def takes(self, decoded: Decoded, packet: int) -> bool:
        """Count one error with its connection; False if there is none."""
        key = _quoted(bytes(decoded.payload(packet)[8:64]))
        item = None if key is None else self._items().get(key)
        if item is None:
            return False
        row, stateful = decoded.packets[packet], self._stateful
        stateful.packets[item] += 1
        stateful.bytes[item] += int(row["payload_length"])
        return True

    def _items(self) -> dict[tuple[bytes, bytes, int, int, int], int]:
        if self._item_of is None:
            rows = self._flows[self._stateful.place]
            self._item_of = {
                (
                    row["a"].tobytes(),
                    row["b"].tobytes(),
                    int(row["port_a"]),
                    int(row["port_b"]),
                    int(row["transport"]),
                ): at
                for at, row in enumerate(rows)
            }
        return self._item_of


def _quoted(data: bytes) -> tuple[bytes, bytes, int, int, int] | None:
    """Return the ends, lower one first, and the protocol of the packet an ICMP error quotes; None if unreadable."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        header, protocol, source, destination = (data[0] & 15) * 4, data[9], data[12:16], data[16:20]
    elif len(data) >= 40 and data[0] >> 4 == 6:
        header, protocol, source, destination = 40, data[6], data[8:24], data[24:40]
    else:
        return None
    if header < 20 or len(data) < header + 4 or protocol not in STATEFUL:
        return None
    ports = int.from_bytes(data[header : header + 2], "big"), int.from_bytes(data[header + 2 : header + 4], "big")
    (low, low_port), (high, high_port) = sorted(
        zip((source.ljust(16, b"\0"), destination.ljust(16, b"\0")), ports, strict=True)
    )
    return low, high, low_port, high_port, protocol
