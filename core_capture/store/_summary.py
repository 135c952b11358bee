"""What the catalogue knows of a segment's flows: enough to say "nothing here" without opening its index.

A Bloom filter holds each flow's addresses, their /24 or /64 networks and its endpoints (address and port); server ports
and transports are exact. `may_match` never says no wrongly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture._predicate import (
    And,
    Carrier,
    FlowColumns,
    InNetwork,
    Not,
    Or,
    Overlaps,
    PortBetween,
    Predicate,
    Side,
    Transport,
)

__all__ = ["MAX_FILTER_BYTES", "Summary", "may_match", "summarize"]

MAX_FILTER_BYTES = 64 << 10
"""Holds 50,000 keys at one false answer in a hundred; fuller ones say yes more often."""

_MIN_FILTER_BYTES = 64
_BITS_PER_KEY = 10
_PROBES = 7
_MAX_PORTS = 4096  # server ports listed; with more the list says nothing
_ADDRESS, _NETWORK, _ENDPOINT = 1, 2, 3  # kinds of keys
_NETWORK_BYTES = {4: 3, 6: 8}  # of the networks that are keys, by IP version


@dataclass(frozen=True, slots=True)
class Summary:
    first_ns: int
    last_ns: int
    transports: frozenset[int]
    server_ports: frozenset[int] | None  # None: too many to list
    filter: bytes  # Bloom filter, a power of two bytes


def summarize(flows: FlowColumns) -> Summary:
    """Return the summary of a flow table."""
    is_a_server = flows["client"] == 1
    server_ports = np.unique(np.where(is_a_server, flows["port_a"], flows["port_b"]))
    keys = [np.empty(0, dtype=np.uint64)]
    for end, port in (("a", "port_a"), ("b", "port_b")):
        high, low = _halves(flows[end])
        keys += (_keys(_ADDRESS, high, low), _keys(_ENDPOINT, high, low, flows[port]))
        for version, kept in _NETWORK_BYTES.items():
            network = flows[end][flows["ip_version"] == version]
            network[:, kept:] = 0
            keys.append(_keys(_NETWORK, *_halves(network)))
    return Summary(
        first_ns=int(flows["first_ns"].min()) if len(flows) else 0,
        last_ns=int(flows["last_ns"].max()) if len(flows) else 0,
        transports=frozenset(np.unique(flows["transport"]).tolist()),
        server_ports=frozenset(server_ports.tolist()) if len(server_ports) <= _MAX_PORTS else None,
        filter=_make_filter(np.unique(np.concatenate(keys))),
    )


def may_match(predicate: Predicate, summary: Summary) -> bool:
    """Say whether some flow of the segment may satisfy the predicate; False is certain."""
    match predicate:
        case And(terms):
            return all(may_match(term, summary) for term in terms) and _may_hold_endpoints(terms, summary)
        case Or(terms):
            return any(may_match(term, summary) for term in terms)
        case InNetwork(_side, network):
            return _may_hold_network(network.version, network.network_address.packed, network.prefixlen, summary)
        case PortBetween("dst", low, high):
            ports = summary.server_ports
            return low <= high and (ports is None or any(low <= port <= high for port in ports))
        case Transport(numbers):
            return not summary.transports.isdisjoint(numbers)
        case Overlaps(start_ns, end_ns):
            return (start_ns is None or summary.last_ns >= start_ns) and (end_ns is None or summary.first_ns <= end_ns)
        case PortBetween() | Not() | Carrier():
            return True


def _may_hold_endpoints(terms: tuple[Predicate, ...], summary: Summary) -> bool:
    """Look up each side for which the terms name a whole address and a single port."""
    sides: tuple[Side, ...] = ("src", "dst")
    for side in sides:
        networks = [term.network for term in terms if isinstance(term, InNetwork) and term.side == side]
        ports = [
            term.low for term in terms if isinstance(term, PortBetween) and term.side == side and term.low == term.high
        ]
        for address in (network.network_address.packed for network in networks if network.num_addresses == 1):
            if not all(_may_hold(summary.filter, _key(_ENDPOINT, address, port)) for port in ports):
                return False
    return True


def _may_hold_network(version: int, address: bytes, prefix: int, summary: Summary) -> bool:
    if prefix == 8 * len(address):
        return _may_hold(summary.filter, _key(_ADDRESS, address))
    kept = _NETWORK_BYTES[version]
    return prefix < 8 * kept or _may_hold(summary.filter, _key(_NETWORK, address[:kept]))


def _make_filter(keys: NDArray[np.uint64]) -> bytes:
    size = _MIN_FILTER_BYTES
    while size < MAX_FILTER_BYTES and size * 8 < len(keys) * _BITS_PER_KEY:
        size *= 2
    bits = np.zeros(size * 8, dtype=np.bool_)
    bits[_probes(keys, size)] = True
    return np.packbits(bits).tobytes()


def _may_hold(bits: bytes, key: int) -> bool:
    """Look up one key; plain numbers, because numpy takes ten times as long for one."""
    mask, step = len(bits) * 8 - 1, key >> 32 | 1
    for _ in range(_PROBES):
        at = key & mask
        if not bits[at >> 3] & 0x80 >> (at & 7):
            return False
        key += step
    return True


@lru_cache(maxsize=4096)
def _key(kind: int, address: bytes, *ports: int) -> int:
    """The key of one address or endpoint: asked for once, looked up in every segment."""
    halves = _halves(np.frombuffer(address.ljust(16, b"\0"), dtype=np.uint8).reshape(1, 16))
    return int(_keys(kind, *halves, *(np.array([port], dtype=np.int64) for port in ports))[0])


def _probes(keys: NDArray[np.uint64], size: int) -> NDArray[np.intp]:
    """Bit positions of all keys: double hashing with the two halves of a key."""
    step = (keys >> np.uint64(32)) | np.uint64(1)
    rounds = np.arange(_PROBES, dtype=np.uint64)
    return ((keys[:, None] + step[:, None] * rounds) & np.uint64(size * 8 - 1)).astype(np.intp).ravel()


def _keys(kind: int, *parts: NDArray[Any]) -> NDArray[np.uint64]:
    """Mix numbers into one u64 a row (the finalizer of splitmix64, after each part)."""
    mixed = np.full(len(parts[0]), kind, dtype=np.uint64)
    for part in parts:
        mixed = (mixed ^ part.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed


def _halves(addresses: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    words = np.ascontiguousarray(addresses).view("<u8")
    return words[:, 0], words[:, 1]
