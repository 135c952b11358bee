"""The walk as a whole against dpkt, where dpkt is sure: Ethernet, IPv4 and IPv6, TCP and UDP."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import dpkt
import numpy as np
import pytest

from kubeshark.core_capture._columns import NO_FLOW, FlowBit, PacketBit
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.reference import ReferenceCore
from kubeshark.core_capture.reference._decode import record_offsets
from tests.core_capture.reference._packets import ETHERNET as EN10MB
from tests.core_capture.reference._packets import RAW, ends, ethernet, records, run, tcp, udp

CORE = ReferenceCore()
TUNNEL_PORTS = {1701, 2152, 3544, 4341, 4342, 4789, 4790, 6081, 8472}


def as_dpkt_sees_it(frame: bytes) -> tuple[Any, ...] | None:
    """(source, destination, ports, payload) of a plain packet, or None where dpkt or the packet is not plain."""
    try:
        packet = dpkt.ethernet.Ethernet(frame).data
    except (dpkt.UnpackError, IndexError, ValueError):
        return None
    if not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6) or not isinstance(packet.data, dpkt.tcp.TCP | dpkt.udp.UDP):
        return None
    inner, room = packet.data, len(frame) - 14
    if isinstance(packet, dpkt.ip.IP):
        is_plain = 0 < packet.len <= room and not packet.mf and not packet.offset
    else:
        is_plain = 0 < packet.plen <= room - 40 and not packet.extension_hdrs
    if isinstance(inner, dpkt.udp.UDP):
        is_plain = is_plain and inner.ulen == 8 + len(inner.data) and not {inner.sport, inner.dport} & TUNNEL_PORTS
    if not is_plain:
        return None
    return packet.src, packet.dst, inner.sport, inner.dport, bytes(inner.data)


@pytest.mark.parametrize("pattern", ["zeek__*", "PcapPlusPlus__*", "nDPI__*"])
def test_like_dpkt(captures: Path, pattern: str) -> None:
    compared = 0
    for path in sorted((captures / "files").glob(pattern))[:60]:
        if "fuzz" in path.name:  # dpkt reads IP version 5 and TCP headers of 8 bytes
            continue
        data = bytearray()
        with open_capture(path) as reader:
            for batch in itertools.islice(reader, 1):
                data += batch.data if batch.link_type == EN10MB else b""
        decoded = CORE.decode(bytes(data), EN10MB)
        for index, row in enumerate(decoded.packets[:500]):
            length = int.from_bytes(data[row["offset"] + 8 : row["offset"] + 12], "little")
            frame = bytes(data[row["offset"] + 16 :][:length])
            theirs = as_dpkt_sees_it(frame)
            if theirs is None:
                continue
            flow = decoded.flows[row["flow"]]
            sides = [(bytes(flow[end][: len(theirs[0])]), int(flow[f"port_{end}"])) for end in "ab"]
            source, destination = sides if row["direction"] == 0 else sides[::-1]
            ours = (source[0], destination[0], source[1], destination[1], bytes(decoded.payload(index)))
            assert ours == theirs, f"{path.name} packet {index}"
            compared += 1
    assert compared > 1000


def test_packets_dpkt_builds() -> None:
    segment = dpkt.tcp.TCP(sport=1, dport=2, seq=77, flags=dpkt.tcp.TH_PUSH, opts=b"\1" * 8, data=b"segment")
    segment.off = 7
    packet = dpkt.ip.IP(src=b"\x0a\0\0\1", dst=b"\x0a\0\0\2", p=6, opts=b"\1" * 4, data=segment)
    packet.hl, packet.len = 6, 24 + len(segment)
    decoded, _ = run(CORE, records(bytes(dpkt.ethernet.Ethernet(type=0x0800, data=packet))), EN10MB)
    assert ends(decoded.flows[0]) == ("10.0.0.1", 1, "10.0.0.2", 2)
    assert (decoded.packets["seq"][0], decoded.packets["flags"][0]) == (77, dpkt.tcp.TH_PUSH)
    assert bytes(decoded.payload(0)) == b"segment"


def test_a_damaged_packet_spoils_only_itself() -> None:
    good, bad = ethernet(0x0800, udp()), ethernet(0x0800, tcp()[:30])
    decoded, _ = run(CORE, records(good, bad, good), EN10MB)
    assert decoded.packets["flow"].tolist() == [0, NO_FLOW, 0]
    assert decoded.flows["bits"].tolist() == [FlowBit(0)]


def test_an_original_length_below_the_captured_one_is_not_believed() -> None:
    data = bytearray(records(udp()))
    data[12:16] = bytes(4)
    decoded, _ = run(CORE, bytes(data), RAW)
    assert decoded.packets["bits"].tolist() == [0]
    assert decoded.flows["bytes"].sum() == 5


def test_an_original_length_beyond_reason_is_not_believed() -> None:
    packet = bytearray(tcp(b"x" * 9))
    packet[2:4] = bytes(2)  # total length 0: to the end
    data = bytearray(records(bytes(packet)))
    data[12:16] = b"\xff\xff\xff\xff"
    decoded, _ = run(CORE, bytes(data), RAW)
    assert decoded.packets["bits"].tolist() == [PacketBit.CUT]
    assert decoded.flows["bytes"].sum() == (1 << 20) - 40


def test_record_offsets() -> None:
    data = records(b"a", b"", b"ccc")
    assert list(record_offsets(data)) == [0, 17, 33, 52]
    assert list(record_offsets(data[:-1])) == [0, 17, 33]
    assert np.array_equal(CORE.offsets(data)[0], [0, 17, 33])
