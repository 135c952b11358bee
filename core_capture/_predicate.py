"""What the index can answer: a small tree over flow-table columns, evaluated for a whole segment at once.

KFL pushes terms down into it (`kubeshark.pipeline.kfl`); `match` says which flows may hold matching entries. A
predicate only narrows: a flow it refuses holds no match; whether a flow it accepts does is for the residue to say.
"""

from __future__ import annotations

from functools import reduce
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture._columns import FlowBit

__all__ = [
    "And",
    "Carrier",
    "FlowColumns",
    "InNetwork",
    "Not",
    "Or",
    "Overlaps",
    "PortBetween",
    "Predicate",
    "Transport",
    "match",
]

LATEST_NS = 2**64 - 1
MAX_PORT = 2**16 - 1

Side = Literal["src", "dst"]


class And(Struct, frozen=True):
    terms: tuple[Predicate, ...]  # empty: everything


class Or(Struct, frozen=True):
    terms: tuple[Predicate, ...]  # empty: nothing


class Not(Struct, frozen=True):
    term: Predicate


class InNetwork(Struct, frozen=True):
    """The client's (src) or server's (dst) address lies in a network; a single address is a /32 or /128."""

    side: Side
    network: IPv4Network | IPv6Network


class PortBetween(Struct, frozen=True):
    side: Side
    low: int  # inclusive; may lie outside 0..65535
    high: int  # inclusive


class Transport(Struct, frozen=True):
    numbers: frozenset[int]  # IP protocol numbers


class Overlaps(Struct, frozen=True):
    """The flow has packets in [start_ns, end_ns]; None is open. Never exact below the flow."""

    start_ns: int | None
    end_ns: int | None


class Carrier(Struct, frozen=True):
    """The flow only carries other flows (a tunnel's outer UDP flow)."""


Predicate = And | Or | Not | InNetwork | PortBetween | Transport | Overlaps | Carrier


class FlowColumns(Protocol):
    """The columns of a flow table by their FLOW names: a FLOW array, or an index that decodes them when asked."""

    def __getitem__(self, name: str, /) -> NDArray[Any]: ...
    def __len__(self) -> int: ...


def match(predicate: Predicate, flows: FlowColumns) -> NDArray[np.bool_]:
    """Return one bool per row of a flow table. Cost: a few vector operations per term."""
    match predicate:
        case And(()):
            return np.ones(len(flows), dtype=np.bool_)
        case And(terms):
            return reduce(np.logical_and, (match_(term, flows) for term in terms))
        case Or(()):
            return np.zeros(len(flows), dtype=np.bool_)
        case Or((InNetwork(one, network), InNetwork(other, same))) if one != other and network == same:
            return np.logical_or(*_in_network(flows, network))  # whoever is the client
        case Or((PortBetween(one, low, high), PortBetween(other, least, most))) if one != other and (low, high) == (
            least,
            most,
        ):
            return _between(flows["port_a"], low, high) | _between(flows["port_b"], low, high)
        case Or(terms):
            return reduce(np.logical_or, (match_(term, flows) for term in terms))
        case Not(term):
            return ~match_(term, flows)
        case InNetwork(side, network):
            return np.where(_is_a(flows, side), *_in_network(flows, network))
        case PortBetween(side, low, high):
            return _between(np.where(_is_a(flows, side), flows["port_a"], flows["port_b"]), low, high)
        case Transport(numbers):
            if len(numbers) == 1:
                return np.asarray(flows["transport"] == next(iter(numbers)), dtype=np.bool_)
            wanted = np.zeros(256, dtype=np.bool_)
            wanted[[number for number in numbers if 0 <= number < 256]] = True
            return np.asarray(wanted[flows["transport"]], dtype=np.bool_)
        case Overlaps(start_ns, end_ns):
            low = 0 if start_ns is None else max(start_ns, 0)
            high = LATEST_NS if end_ns is None else min(end_ns, LATEST_NS)
            if low > LATEST_NS or high < 0:
                return np.zeros(len(flows), dtype=np.bool_)
            return np.asarray((flows["last_ns"] >= np.uint64(low)) & (flows["first_ns"] <= np.uint64(high)), np.bool_)
        case Carrier():
            return np.asarray((flows["bits"] & FlowBit.CARRIER) != 0, dtype=np.bool_)


match_ = match  # the name `match` also opens the statement above


def _is_a(flows: FlowColumns, side: Side) -> NDArray[np.bool_]:
    """Say for each flow whether this side is its endpoint a."""
    return np.asarray(flows["client"] == (0 if side == "src" else 1), dtype=np.bool_)


def _between(ports: NDArray[Any], low: int, high: int) -> NDArray[np.bool_]:
    if low > MAX_PORT or high < 0:
        return np.zeros(len(ports), dtype=np.bool_)
    if low == high:
        return np.asarray(ports == low, dtype=np.bool_)
    return np.asarray((ports >= max(low, 0)) & (ports <= min(high, MAX_PORT)), dtype=np.bool_)


def _in_network(flows: FlowColumns, network: IPv4Network | IPv6Network) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say of each flow's endpoints a and b whether they lie in a network."""
    of_version = np.asarray(flows["ip_version"] == network.version, dtype=np.bool_)
    return _addresses_in(flows["a"], of_version, network), _addresses_in(flows["b"], of_version, network)


def _addresses_in(
    addresses: NDArray[Any], of_version: NDArray[np.bool_], network: IPv4Network | IPv6Network
) -> NDArray[np.bool_]:
    keep = of_version
    for at, (byte, bits) in enumerate(zip(network.network_address.packed, network.netmask.packed, strict=True)):
        if bits == 0:
            break
        column = addresses[:, at]
        keep = keep & ((column if bits == 0xFF else column & bits) == byte)
    return keep
