"""Rows 1, 2, 5 and 6: the encrypted store against tools that read the plain file.

Every selection is asserted to give the same packets before it is timed. Our CPU is that of a fresh process with the
index cold and imports excluded, as the target says; the whole command's CPU, interpreter start included, stands in the
note.
"""

from __future__ import annotations

import hashlib
import statistics
import struct
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks._measure import Result, alternate, command_cpu, need, worker_cpu
from benchmarks._workload import make_capture
from kubeshark.core_capture import FlowBit
from kubeshark.core_capture.store import Store
from kubeshark.pipeline.reading._streams import endpoints

__all__ = ["imports", "selections", "sizes"]

EXPORT = """
import os, pathlib, sys, time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does: idle threads spin
import kubeshark.hosts, kubeshark.core_capture.files, kubeshark.core_capture.store, kubeshark.pipeline
from kubeshark.core_capture import load_core
from kubeshark.pipeline import Pipeline, Plugins
from kubeshark.pipeline import keep_freed_memory
keep_freed_memory(); load_core(); plugins = Plugins()  # as the command does
with Pipeline.open(sys.argv[4], create=False, plugins=plugins) as pipeline:  # loads what is loaded late
    pipeline.export(sys.argv[2], sys.argv[3])
pathlib.Path(sys.argv[3]).unlink()
started = time.process_time()
with Pipeline.open(sys.argv[1], create=False, plugins=plugins) as pipeline:
    done = pipeline.export(sys.argv[2], sys.argv[3])
print(time.process_time() - started, done.packets)
"""
SHORT_PACKETS = 40
EPHEMERAL = 32_768
LARGER = 5  # times the capture: there the start of the command has little share
WHOLE = FlowBit.SYN_SEEN | FlowBit.FIN_A | FlowBit.FIN_B


@dataclass(frozen=True, slots=True)
class Selection:
    """One class of row 1: the same packets in three languages."""

    case: str
    kfl: str
    bpf: str
    display: str
    target: float


def classes(store: Path | str) -> list[Selection]:
    """Choose a short flow, a long flow, a host, a port and DNS from what the store holds."""
    opened = Store.open(store)
    segments = opened.segments()
    with opened.open_segment(segments[len(segments) // 2].name) as segment:
        flows = segment.flows
    packets = flows["packets"].sum(axis=1)
    tcp = (flows["transport"] == 6) & (flows["ip_version"] == 4) & (flows["bytes"].sum(axis=1) > 0)
    whole = (flows["bits"] & WHOLE) == WHOLE
    short = flows[np.flatnonzero(tcp & whole & (packets < SHORT_PACKETS))[0]]
    long = flows[np.flatnonzero(tcp)[np.argmax(packets[tcp])]]
    host = _median_host(flows[tcp])
    port = _median_port(flows[tcp])
    return [
        _flow("short flow", short, 20),
        _flow("long flow", long, 5),
        Selection("host", f'src.ip == "{host}" || dst.ip == "{host}"', f"ip host {host}", f"ip.addr=={host}", 5),
        Selection(
            "port",
            f'(src.port == {port} || dst.port == {port}) && (transport == "tcp" || transport == "udp")',
            f"tcp port {port} or udp port {port}",
            f"tcp.port=={port} || udp.port=={port}",
            5,
        ),
        Selection(
            "DNS",
            '(src.port == 53 || dst.port == 53) && transport == "udp"',
            "udp port 53",
            "udp.port==53",
            5,
        ),
    ]


def _flow(case: str, row: np.void, target: float) -> Selection:
    client, server = endpoints(row)
    kfl = (
        f'src.ip == "{client.ip}" && src.port == {client.port} && dst.ip == "{server.ip}" && dst.port == {server.port}'
        ' && transport == "tcp"'
    )
    ends = [(client.ip, client.port), (server.ip, server.port)]
    bpf = " and ".join(f"host {ip} and tcp port {port}" for ip, port in ends)
    display = " && ".join(f"ip.addr=={ip} && tcp.port=={port}" for ip, port in ends)
    return Selection(case, kfl, bpf, display, target)


def _median_host(flows: np.ndarray) -> str:
    """A server with a middling share of the packets."""
    by_host: dict[str, int] = {}
    for row in flows:
        server = endpoints(row)[1].ip
        by_host[server] = by_host.get(server, 0) + int(row["packets"].sum())
    return sorted(by_host, key=by_host.__getitem__)[len(by_host) // 2]


def _median_port(flows: np.ndarray) -> int:
    """A service with a middling share of the bytes; ports of clients that were taken for servers do not count."""
    by_port: dict[int, int] = {}
    for row in flows:
        server = endpoints(row)[1].port
        if server < EPHEMERAL:
            by_port[server] = by_port.get(server, 0) + int(row["bytes"].sum())
    return sorted(by_port, key=by_port.__getitem__)[len(by_port) // 2]


def selections(capture: Path, store: Path, warm: Path, scratch: Path, runs: int) -> list[Result]:
    """Rows 1 and 2."""
    tcpdump = need("tcpdump", "tcpdump")
    ours_out, peer_out = scratch / "ours.pcap", scratch / "peer.pcap"
    total = capture.stat().st_size
    results: list[Result] = []
    for selection in classes(store):
        command = [tcpdump, "-r", str(capture), "-w", str(peer_out), selection.bpf]

        def ours(selection: Selection = selection) -> float:
            ours_out.unlink(missing_ok=True)
            return worker_cpu(EXPORT, store, selection.kfl, ours_out, warm)[0]

        def peer(command: list[str] = command) -> float:
            peer_out.unlink(missing_ok=True)
            return command_cpu(command)

        ours()
        peer()
        packets = _assert_same(ours_out, peer_out, selection.case)
        share = peer_out.stat().st_size / total
        mine, theirs = alternate(ours, peer, runs)
        whole = statistics.median(_whole_command(store, selection.kfl, ours_out) for _ in range(min(runs, 3)))
        target = selection.target if selection.target > 5 else (5 if share <= 0.02 else 3)
        note = (
            f"{packets} packets, {100 * share:.2f} % of the bytes; "
            f"{1000 * mine:.1f} against {1000 * theirs:.1f} ms CPU; whole command {1000 * whole:.0f} ms"
        )
        results.append(Result(1, selection.case, "tcpdump -r plain file", theirs / mine, target, "higher", note))
        tshark = [need("tshark", "tshark"), "-n", "-F", "pcap", "-r", str(capture)]
        tshark += ["-Y", selection.display, "-w", str(peer_out)]
        mine, theirs = alternate(ours, lambda tshark=tshark: peer(tshark), runs)  # type: ignore[misc]
        _assert_same(ours_out, peer_out, f"{selection.case}, tshark")
        note = f"{1000 * mine:.1f} ms against {theirs:.2f} s CPU"
        results.append(Result(2, selection.case, "tshark -Y", theirs / mine, 500, "higher", note))
    return results


def _whole_command(store: Path, kfl: str, out: Path) -> float:
    return command_cpu([sys.executable, "-m", "kubeshark", "export", kfl, "-o", str(out), "--store", str(store)])


def _assert_same(ours: Path, peer: Path, case: str) -> int:
    """Both files hold the same packets at the same microseconds, in the same order."""
    left, right = _packets(ours), _packets(peer)
    if left != right:
        raise AssertionError(f"{case}: {len(left)} packets of ours differ from {len(right)} of the peer")
    if not left:
        raise AssertionError(f"{case}: nothing selected, so nothing is compared")
    return len(left)


def _packets(path: Path) -> list[tuple[int, bytes]]:
    data = path.read_bytes()
    divisor = 1000 if data[:4] == b"\x4d\x3c\xb2\xa1" else 1
    at, packets = 24, []
    while at + 16 <= len(data):
        seconds, fraction, captured, _ = struct.unpack_from("<IIII", data, at)
        digest = hashlib.blake2b(data[at + 16 : at + 16 + captured], digest_size=16).digest()
        packets.append((seconds * 1_000_000 + fraction // divisor, digest))
        at += 16 + captured
    return packets


def imports(recording: Path, capture: Path, scratch: Path, runs: int) -> list[Result]:
    """Row 5: whole imports against compressing and encrypting the file as it is.

    What comes through standard input is told by nothing but its packets; of a file the SHA-256 is taken first, so that
    a second import knows it.
    """
    peer = _Peer(scratch)
    results = _imports(capture, peer, scratch, runs)
    larger = scratch / "larger.pcap"
    make_capture(recording, larger, LARGER * capture.stat().st_size)  # not before: it fills the memory that is warm
    try:
        return results + _imports(larger, peer, scratch, runs)
    finally:
        larger.unlink()


def _imports(capture: Path, peer: _Peer, scratch: Path, runs: int) -> list[Result]:
    results, size = [], capture.stat().st_size / 1e6
    for what, is_stream, included in (("stream", True, ""), ("file", False, ", and SHA-256")):
        mine, theirs = alternate(partial(_import, capture, scratch, is_stream=is_stream), partial(peer, capture), runs)
        note = f"{mine:.2f} against {theirs:.2f} s CPU, {size / mine:.0f} MB/s; the start of Python included{included}"
        case = f"import of a {what}, {size:.0f} MB"
        results.append(Result(5, case, peer.name, mine / theirs, 1.0, "lower", note))
    return results


class _Peer:
    """`zstd -1 < file | age -r recipient`."""

    name = "zstd -1 | age"

    def __init__(self, scratch: Path) -> None:
        zstd, age, keygen = need("zstd", "zstd"), need("age", "age"), need("age-keygen", "age")
        key = scratch / "peer.key"
        command_cpu([keygen, "-o", str(key)])
        recipient = next(line.split()[-1] for line in key.read_text().splitlines() if "public key" in line)
        self._out = scratch / "peer.age"
        self._pipe = f'"{zstd}" -q -1 < "$0" | "{age}" -r {recipient} > "$1"'

    def __call__(self, capture: Path) -> float:
        return command_cpu(["sh", "-c", self._pipe, str(capture), str(self._out)])


def _import(capture: Path, scratch: Path, *, is_stream: bool) -> float:
    with TemporaryDirectory(dir=scratch) as store, capture.open("rb") as file:
        command = [sys.executable, "-m", "kubeshark", "import", "-" if is_stream else str(capture), "--store", store]
        return command_cpu(command, stdin=file)


def sizes(capture: Path, store: Path) -> list[Result]:
    """Row 6: what lies on disk, against the raw file. The ordinal column is in the index files and reported apart."""
    raw = capture.stat().st_size
    data = sum(path.stat().st_size for path in store.glob("*.pcap.zst.age"))
    files = sum(path.stat().st_size for path in store.glob("*.idx.age"))
    opened, extras = Store.open(store), 0
    for info in opened.segments():
        with opened.open_segment(info.name) as segment:
            extras += (store / f"{info.name}.idx.age").stat().st_size - segment.stats.index_bytes
    index = files - extras
    note = f"{raw / 1e6:.0f} MB raw, {data / 1e6:.1f} MB data, {index / 1e6:.3f} MB index, {extras / 1e6:.3f} MB order"
    return [
        Result(6, "store size", "raw pcap", (data + files) / raw, 0.5, "lower", note),
        Result(6, "index size, % of raw", "raw pcap", 100 * index / raw, 0.2, "lower", note),
    ]
