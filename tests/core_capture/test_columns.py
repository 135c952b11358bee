"""The columns are a contract between two languages and the index on disk."""

from __future__ import annotations

import numpy as np

from kubeshark.core_capture._columns import ARENA, FLOW, PACKET, SERVER_PORTS, Decoded, FlowBit, PacketBit, Tunnel


def test_rows_have_no_holes_and_their_known_size() -> None:
    for dtype, size in ((PACKET, 32), (FLOW, 104), (ARENA, 12)):
        assert dtype.itemsize == size
        at = 0
        for name in dtype.names or ():
            field, offset = dtype[name], (dtype.fields or {})[name][1]
            assert offset == at
            assert offset % field.base.itemsize == 0
            at += field.itemsize
        assert at == size


def test_bits_fit_their_columns() -> None:
    assert sum(PacketBit) < 1 << 8
    assert sum(FlowBit) < 1 << 16
    assert max(Tunnel) < 1 << 8
    assert sorted(Tunnel) == list(range(len(Tunnel)))


def test_server_ports_are_those_above_the_reserved_ones() -> None:
    assert min(SERVER_PORTS) >= 1024
    assert max(SERVER_PORTS) < 1 << 16


def test_payload_lies_in_the_data_or_in_the_arena() -> None:
    packets = np.zeros(3, dtype=PACKET)
    packets["offset"] = [0, 4, 8]
    packets["payload_offset"] = [1, 1, 2]
    packets["payload_length"] = [2, 3, 1]
    packets["bits"] = [0, PacketBit.ARENA, PacketBit.ARENA | PacketBit.FRAGMENT]
    arena_index = np.array([(1, 0, 4), (2, 4, 4)], dtype=ARENA)
    decoded = Decoded(b"abcdefghijkl", packets, np.zeros(0, dtype=FLOW), b"ABCDEFGH", arena_index, 12)
    assert [bytes(decoded.payload(index)) for index in range(3)] == [b"bc", b"BCD", b"G"]
    assert decoded.payload(0).obj is decoded.data
