"""Row 4: scan, decode and flow table against copying the same bytes, and against dpkt and scapy, per packet."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks._measure import Result, alternate, worker_cpu
from kubeshark.core_capture import load_core
from kubeshark.core_capture.files import open_capture
from kubeshark.pipeline import keep_freed_memory

__all__ = ["run"]

DPKT_PACKETS = 100_000  # dpkt is compared on a part, per packet
SCAPY_PACKETS = 5_000
SCAPY = """
import sys, time
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapReader
flows, count = {}, 0
frames = [data for data, _ in zip((data for data, _ in RawPcapReader(sys.argv[1])), range(int(sys.argv[2])))]
started = time.process_time()
for data in frames:
    packet = Ether(data)
    ip = packet.getlayer(IP) or packet.getlayer(IPv6)
    segment = ip and (ip.getlayer(TCP) or ip.getlayer(UDP))
    if not segment:
        continue
    ends = sorted(((ip.src, segment.sport), (ip.dst, segment.dport)))
    counts = flows.setdefault((*ends, segment.name), [0, 0])
    counts[0] += 1
    counts[1] += len(segment.payload)
print((time.process_time() - started) / len(frames))
"""
"""The same job as `_dpkt`; in a process of its own, which reads the packets first."""


def run(capture: Path, runs: int) -> list[Result]:
    keep_freed_memory()  # as the command does; the copy writes into memory that is there already, too
    core = load_core("native")
    with open_capture(capture) as reader:
        data = b"".join(batch.data for batch in reader)
    into = memoryview(bytearray(len(data)))

    def ours() -> float:
        started = time.process_time()
        core.decode(data, 1)
        return time.process_time() - started

    def copy() -> float:
        started = time.process_time()
        into[:] = data  # a memoryview: bytearray[:] = bytes would copy twice
        return time.process_time() - started

    packets = len(core.decode(data, 1).packets)
    decoded, copied = alternate(ours, copy, runs * 3)

    def ours_each_packet() -> float:
        ours()  # while dpkt is at it, for seconds, the machine takes memory back that nobody touches
        return ours() / packets

    ours_each, dpkt_each = alternate(ours_each_packet, lambda: _dpkt(data), min(runs, 3))
    ours_again, scapy_each = alternate(
        ours_each_packet, lambda: worker_cpu(SCAPY, capture, str(SCAPY_PACKETS))[0], min(runs, 3)
    )
    rate = f"{packets / decoded / 1e6:.2f} M packets/s, {len(data) / decoded / 1e9:.2f} GB/s"
    return [
        Result(4, "decode + flow table, share of memcpy speed", "memcpy", copied / decoded, 0.75, "higher", rate),
        Result(4, "decode + flow table", "dpkt", dpkt_each / ours_each, 100, "higher", "per packet"),
        Result(4, "decode + flow table", "scapy", scapy_each / ours_again, 100, "higher", "per packet"),
    ]


def _dpkt(data: bytes) -> float:
    """CPU seconds per packet of dpkt doing the same job: decode each packet, count packets and bytes by 5-tuple."""
    import dpkt

    flows: dict[tuple[object, ...], list[int]] = {}
    at = count = 0
    started = time.process_time()
    while at + 16 <= len(data) and count < DPKT_PACKETS:
        length = int.from_bytes(data[at + 8 : at + 12], "little")
        frame = dpkt.ethernet.Ethernet(data[at + 16 : at + 16 + length])
        at += 16 + length
        count += 1
        packet = frame.data
        if not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6) or not isinstance(
            packet.data, dpkt.tcp.TCP | dpkt.udp.UDP
        ):
            continue
        ends = sorted(((packet.src, packet.data.sport), (packet.dst, packet.data.dport)))
        counts = flows.setdefault((*ends, packet.p if hasattr(packet, "p") else packet.nxt), [0, 0])
        counts[0] += 1
        counts[1] += len(packet.data.data)
    return (time.process_time() - started) / count
