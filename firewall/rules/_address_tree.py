"""Networks as a tree of bytes, for lookups of a few loads: `of_peer` of bpf/judge.h, `struct node` of bpf/records.h.

A node stands for the addresses that share its first bytes, and has an entry for each value of the byte behind these:
the number of a class, or another node. So a node is needed only where networks part: pods of a node of a cluster, which
share three bytes, are one. Pure.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping
from itertools import groupby

from kubeshark.firewall.rules._rules import Network

__all__ = ["IS_NODE", "NODES", "NODE_BYTES", "AddressTrees", "TreeFull"]

NODES = 2048
"""Of a slot, for all its trees; as `NODES` in records.h."""
IS_NODE = 0x8000
_HEAD = struct.Struct("<16s16sHB5x")
NODE_BYTES = _HEAD.size + 2 * 256


class TreeFull(Exception):
    """There are not enough nodes."""


class AddressTrees:
    """Nodes of several trees, as the values of a map: `nodes[n]` is that of number n."""

    def __init__(self, most: int = NODES) -> None:
        self.nodes: list[bytes] = []
        self._most = most

    def add(self, classes: Mapping[Network, int], nobody: int) -> int:
        """Add networks of one version with the classes of their addresses; return the tree's root: a class or a node.

        A network's class holds for its addresses in no smaller network; `nobody` for those in none. Raises TreeFull,
        and then adds nothing.
        """
        before = len(self.nodes)
        ordered = sorted(classes, key=lambda each: (each.network_address, each.prefixlen))
        rows = [(each.network_address.packed, each.prefixlen, classes[each]) for each in ordered]
        try:
            return self._entry(rows, nobody)
        except TreeFull:
            del self.nodes[before:]
            raise

    def _entry(self, rows: list[tuple[bytes, int, int]], around: int) -> int:
        """Return the entry for addresses in `rows`, which is sorted; `around` is the class of those that are not."""
        if rows and rows[0][1] == 0:
            around, rows = rows[0][2], rows[1:]
        if not rows:
            return around
        at = _shared_bytes(rows)
        inside = around
        if rows[0][1] == 8 * at:  # this network is all of the node
            inside, rows = rows[0][2], rows[1:]
        if len(self.nodes) >= self._most:
            raise TreeFull
        number = len(self.nodes)
        self.nodes.append(b"")
        entries = array("H", [inside]) * 256
        deeper = []
        for row in rows:  # larger networks come first
            packed, length, number_of_class = row
            if length > 8 * (at + 1):
                deeper.append(row)
                continue
            size = 1 << 8 * (at + 1) - length
            entries[packed[at] : packed[at] + size] = array("H", [number_of_class]) * size
        for byte, below in groupby(deeper, key=lambda row: row[0][at]):
            entries[byte] = self._entry(list(below), entries[byte])
        mask, want = (b"\xff" * at).ljust(16, b"\0"), rows[0][0][:at].ljust(16, b"\0")
        self.nodes[number] = _HEAD.pack(mask, want, around, at) + entries.tobytes()
        return IS_NODE | number


def _shared_bytes(rows: list[tuple[bytes, int, int]]) -> int:
    """Return how many bytes all networks share; of one alone, how many lie before the byte in which it ends."""
    if len(rows) == 1:
        return (rows[0][1] - 1) // 8
    first, last = rows[0][0], rows[-1][0]  # the first and the last of a sorted list differ most
    shared = next((at for at, (one, other) in enumerate(zip(first, last, strict=True)) if one != other), len(first))
    return min(shared, len(first) - 1, min(length for _, length, _ in rows) // 8)
