"""Leaves out packets that a second node saw as well.

The same packet: sent in the same direction between the same ends, with the same TCP sequence number, flags and payload,
within SKEW_NS. One for one: what was sent twice and seen twice by both nodes is there twice. Link headers, TTL and
checksums differ from node to node and do not count.

What only the second node saw gets times of the first one's clock, as far as packets tell that both saw: so question
and answer keep their order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from struct import Struct

import numpy as np

from kubeshark.core_capture import Core

__all__ = ["SKEW_NS", "without_repeats"]

SKEW_NS = 2 * 1_000_000_000
"""By how much clocks of nodes may differ, and a packet's way between them take."""

SECOND = 1_000_000_000
STAMP = Struct("<II")

_Key = tuple[int, int, int, bytes]


def without_repeats(
    core: Core, link_type: int, pieces: Sequence[tuple[str, bytes | memoryview]]
) -> list[bytes | memoryview]:
    """Return the records of one connection, piece for piece, without those that an earlier piece of another node has.

    `pieces` are (node, its records). Costs some microseconds a packet.
    """
    known: defaultdict[_Key, list[tuple[int, set[str]]]] = defaultdict(list)  # when, and by whom
    kept: list[bytes | memoryview] = []
    for node, data in pieces:
        decoded = core.decode(data, link_type)
        packets = decoded.packets
        columns = (packets["time_ns"], packets["direction"], packets["seq"], packets["flags"])
        stays = np.ones(len(packets), dtype=np.bool_)
        ahead: list[int] = []  # of the first node's clock
        for at, (time_ns, *head) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            key = (*head, blake2b(decoded.payload(at), digest_size=16).digest())
            for seen_ns, nodes in known[key]:
                if node not in nodes and abs(time_ns - seen_ns) <= SKEW_NS:
                    nodes.add(node)
                    stays[at] = False
                    ahead.append(seen_ns - time_ns)
                    break
            else:
                known[key].append((time_ns, {node}))
        if not stays.all():
            order = np.flatnonzero(stays).astype("<u4")
            gathered = core.gather(decoded.data, packets["offset"].astype("<u8"), order)
            data = _set_right(core, bytearray(gathered), sorted(ahead)[len(ahead) // 2])
        kept.append(data)
    return kept


def _set_right(core: Core, records: bytearray, ahead_ns: int) -> memoryview:
    """Move the times of records (pcap, nanoseconds); those that a pcap cannot hold stay."""
    for offset in core.offsets(records)[0].tolist():
        seconds, rest = STAMP.unpack_from(records, offset)
        seconds, rest = divmod(seconds * SECOND + rest + ahead_ns, SECOND)
        if 0 <= seconds < 1 << 32:
            STAMP.pack_into(records, offset, seconds, rest)
    return memoryview(records)
