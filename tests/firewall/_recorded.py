"""Recorded connections made by hand, and those of a capture file, without a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import FLOW, load_core
from kubeshark.core_capture.files import open_capture
from kubeshark.pipeline.reading._segments import MemorySegment


@dataclass
class Connections:
    """What `pipeline._connections.Connections` is, of memory."""

    segment: Any
    rows: NDArray[Any]
    flows: NDArray[Any]

    def entry_id(self, at: int) -> str:
        return f"{self.segment.name}-{self.rows[at]}-conn"


def of_file(path: Path) -> list[Connections]:
    """Return the connections of a capture file, a link type each; of none if it cannot be read."""
    by_type: dict[int, list[Any]] = {}
    with open_capture(path) as reader:
        for batch in reader:
            by_type.setdefault(batch.link_type, []).append(batch)
    core = load_core()
    segments = [MemorySegment.of(f"m{number}", batches, core) for number, batches in enumerate(by_type.values())]
    return [Connections(each, np.arange(len(each.flows)), each.flows) for each in segments if len(each.flows)]


@dataclass
class _Segment:
    name: str = "s"
    link_type: int = 1

    def gathered(self, rows: NDArray[Any]) -> tuple[bytes, NDArray[Any], NDArray[Any]]:
        raise AssertionError("nobody asked for packets")


def flow(client: str, server: str, port: int, protocol: int = 6, **more: Any) -> NDArray[Any]:
    """Return a FLOW row of 3 packets and 300 bytes there, 2 and 200 back, from 1 s to 2 s."""
    row = np.zeros((), dtype=FLOW)
    ends = [(ip_address(client).packed.ljust(16, b"\0"), 40_000), (ip_address(server).packed.ljust(16, b"\0"), port)]
    ordered = sorted(ends)
    for end, (packed, number) in zip("ab", ordered, strict=True):
        row[end] = np.frombuffer(packed, np.uint8)
        row[f"port_{end}"] = number if protocol in (6, 17, 132) else 0
    row["client"] = 0 if ordered[0] == ends[0] else 1
    row["transport"], row["ip_version"] = protocol, ip_address(client).version
    there = int(row["client"])
    row["packets"][there], row["packets"][1 - there] = 3, 2
    row["bytes"][there], row["bytes"][1 - there] = 300, 200
    row["first_ns"], row["last_ns"] = 10**9, 2 * 10**9
    for name, value in more.items():
        row[name] = value
    return row


def recorded(rows: Sequence[NDArray[Any]]) -> Connections:
    return Connections(_Segment(), np.arange(len(rows)), np.array(rows, dtype=FLOW))
