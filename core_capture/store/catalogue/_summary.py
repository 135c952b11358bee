"""What the catalogue knows of a segment's flows: enough to say "nothing here" without opening its index.

A Bloom filter holds each flow's addresses, their /24 or /64 networks and its endpoints (address and port); server ports
and transports are exact. `may_match` never says no wrongly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture._columns import Buffer
from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._groups import distinct
from kubeshark.core_capture._predicate import (
    LATEST_NS,
    MAX_PORT,
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

__all__ = ["MAX_FILTER_BYTES", "Summaries", "Summary", "may_match", "summarize"]

MAX_FILTER_BYTES = 64 << 10
"""Holds 50,000 keys at one false answer in a hundred; fuller ones say yes more often."""

_MIN_FILTER_BYTES = 64
_BITS_PER_KEY = 10
_PROBES = 7
_MAX_PORTS = 4096  # server ports listed; with more the list says nothing
_ADDRESS, _NETWORK, _ENDPOINT = 1, 2, 3  # kinds of keys
_U64 = (1 << 64) - 1
_NETWORK_BYTES = {4: 3, 6: 8}  # of the networks that are keys, by IP version


class Summary(Struct, frozen=True):
    first_ns: int
    last_ns: int
    transports: frozenset[int]
    server_ports: frozenset[int] | None  # None: too many to list
    filter: bytes  # Bloom filter, a power of two bytes


class Summaries(Struct, frozen=True):
    """Those of many segments: arrays with a row for each, to be asked all at once."""

    first_ns: NDArray[Any]  # u8
    last_ns: NDArray[Any]
    transports: NDArray[Any]  # u1, n x 32: a bit for each number
    has_ports: NDArray[np.bool_]
    ports: NDArray[Any]  # u2, those of all segments one behind the other
    port_ends: NDArray[Any]  # u8, where each one's end there
    filters: Buffer  # one behind the other
    filter_ends: NDArray[Any]  # u8

    @classmethod
    def of(cls, summaries: Sequence[Summary]) -> Self:
        """Put summaries together."""
        transports = np.zeros((len(summaries), 256), dtype=np.bool_)
        for row, summary in zip(transports, summaries, strict=True):
            row[list(summary.transports)] = True
        ports = [sorted(summary.server_ports or ()) for summary in summaries]
        return cls(
            first_ns=np.array([summary.first_ns for summary in summaries], dtype=np.uint64),
            last_ns=np.array([summary.last_ns for summary in summaries], dtype=np.uint64),
            transports=np.packbits(transports, axis=1, bitorder="little"),
            has_ports=np.array([summary.server_ports is not None for summary in summaries], dtype=np.bool_),
            ports=np.array([port for listed in ports for port in listed], dtype=np.uint16),
            port_ends=np.cumsum([len(listed) for listed in ports], dtype=np.uint64),
            filters=b"".join(summary.filter for summary in summaries),
            filter_ends=np.cumsum([len(summary.filter) for summary in summaries], dtype=np.uint64),
        )

    def __len__(self) -> int:
        return len(self.first_ns)

    def __getitem__(self, row: int) -> Summary:
        numbers = np.flatnonzero(np.unpackbits(self.transports[row], bitorder="little"))
        first, last = (int(self.port_ends[row - 1]) if row else 0), int(self.port_ends[row])
        start, end = (int(self.filter_ends[row - 1]) if row else 0), int(self.filter_ends[row])
        return Summary(
            first_ns=int(self.first_ns[row]),
            last_ns=int(self.last_ns[row]),
            transports=frozenset(numbers.tolist()),
            server_ports=frozenset(self.ports[first:last].tolist()) if self.has_ports[row] else None,
            filter=bytes(memoryview(self.filters)[start:end]),
        )


def summarize(flows: FlowColumns) -> Summary:
    """Return the summary of a flow table."""
    is_a_server = flows["client"] == 1
    server_ports = distinct(np.where(is_a_server, flows["port_a"], flows["port_b"]))
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
        transports=frozenset(distinct(flows["transport"]).tolist()),
        server_ports=frozenset(server_ports.tolist()) if len(server_ports) <= _MAX_PORTS else None,
        filter=_make_filter(distinct(np.concatenate(keys))),
    )


def may_match(predicate: Predicate, summaries: Summaries) -> NDArray[np.bool_]:
    """Say for each segment whether some flow of it may satisfy the predicate; False is certain."""
    match predicate:
        case And(terms):
            keep = np.ones(len(summaries), dtype=np.bool_)
            for answer in (*(may_match(term, summaries) for term in terms), *_endpoints(terms, summaries)):
                keep &= answer
            return keep
        case Or(terms):
            keep = np.zeros(len(summaries), dtype=np.bool_)
            for term in terms:
                keep |= may_match(term, summaries)
            return keep
        case InNetwork(_side, network):
            return _may_hold_network(network.version, network.network_address.packed, network.prefixlen, summaries)
        case PortBetween("dst", low, high):
            return _may_serve(low, high, summaries)
        case Transport(numbers):
            keep = np.zeros(len(summaries), dtype=np.bool_)
            for number in numbers:
                if 0 <= number < 256:
                    keep |= (summaries.transports[:, number >> 3] >> (number & 7) & 1).astype(np.bool_)
            return keep
        case Overlaps(start_ns, end_ns):
            keep = np.ones(len(summaries), dtype=np.bool_)
            if start_ns is not None and start_ns > 0:
                keep &= (summaries.last_ns >= np.uint64(start_ns)) if start_ns <= LATEST_NS else False
            if end_ns is not None and end_ns < LATEST_NS:
                keep &= (summaries.first_ns <= np.uint64(end_ns)) if end_ns >= 0 else False
            return keep
        case PortBetween() | Not() | Carrier():
            return np.ones(len(summaries), dtype=np.bool_)


def _may_serve(low: int, high: int, summaries: Summaries) -> NDArray[np.bool_]:
    """Say for each segment whether a server's port lies between two numbers."""
    if low > high:
        return np.zeros(len(summaries), dtype=np.bool_)
    fits = np.concatenate(([0], np.cumsum((summaries.ports >= max(low, 0)) & (summaries.ports <= min(high, MAX_PORT)))))
    if low > MAX_PORT or high < 0:
        fits[:] = 0
    until = fits[summaries.port_ends.astype(np.intp)]
    return ~summaries.has_ports | (until > np.concatenate(([0], until[:-1])))


def _endpoints(terms: tuple[Predicate, ...], summaries: Summaries) -> Iterator[NDArray[np.bool_]]:
    """Look up each side for which the terms name a whole address and a single port."""
    sides: tuple[Side, ...] = ("src", "dst")
    for side in sides:
        networks = [term.network for term in terms if isinstance(term, InNetwork) and term.side == side]
        ports = [
            term.low for term in terms if isinstance(term, PortBetween) and term.side == side and term.low == term.high
        ]
        for address in (network.network_address.packed for network in networks if network.num_addresses == 1):
            for port in ports:
                yield _may_hold(summaries, _key(_ENDPOINT, address, port))


def _may_hold_network(version: int, address: bytes, prefix: int, summaries: Summaries) -> NDArray[np.bool_]:
    if prefix == 8 * len(address):
        return _may_hold(summaries, _key(_ADDRESS, address))
    kept = _NETWORK_BYTES[version]
    if prefix < 8 * kept:
        return np.ones(len(summaries), dtype=np.bool_)
    return _may_hold(summaries, _key(_NETWORK, address[:kept]))


def _may_hold(summaries: Summaries, key: int) -> NDArray[np.bool_]:
    return load_core().may_hold(summaries.filters, summaries.filter_ends, key, _PROBES)


def _make_filter(keys: NDArray[np.uint64]) -> bytes:
    size = _MIN_FILTER_BYTES
    while size < MAX_FILTER_BYTES and size * 8 < len(keys) * _BITS_PER_KEY:
        size *= 2
    bits = np.zeros(size * 8, dtype=np.bool_)
    bits[_probes(keys, size)] = True
    return np.packbits(bits).tobytes()


@lru_cache(maxsize=4096)
def _key(kind: int, address: bytes, *ports: int) -> int:
    """The key of one address or endpoint: `_keys` in plain numbers, because numpy takes ten times as long for one."""
    padded = address.ljust(16, b"\0")
    mixed = kind
    for part in (int.from_bytes(padded[:8], "little"), int.from_bytes(padded[8:], "little"), *ports):
        mixed = ((mixed ^ (part & _U64)) + 0x9E3779B97F4A7C15) & _U64
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _U64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _U64
        mixed ^= mixed >> 31
    return mixed


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
