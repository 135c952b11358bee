"""Row 7: live capture into the encrypted log against dumpcap, tcpdump and netsniff-ng, on a cable in a namespace.

One at a time, in turns, each captures the same number of numbered packets. What counts is how many it kept, and its CPU
time a packet: of the whole process, from when it listens until it has ended. What it takes to begin is no packet's; it
is told in the notes. Sealing runs beside our capture and could run later: its CPU is told apart. The cable is a pair of
virtual interfaces, so what sending costs is nobody's here.
Needs root, gcc, and the peers: apt-get install tcpdump tshark netsniff-ng iproute2.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks._measure import Missing, Result, need
from kubeshark.core_capture.files import open_capture

__all__ = ["run"]

NEAR, FAR = "bench0", "bench1"
AIM = "dumpcap"
CLONE_NEWNET = 0x4000_0000
SETTLE_S = 0.7  # from a peer's start until it listens, and from the last packet until it is told to end
SEALING_TARGET = 3.5  # CPU seconds for a GB

OURS = """
import json, os, resource, signal, sys, time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does: idle threads spin
from kubeshark.core_capture.live import LiveSource
from kubeshark.core_capture.store import LiveWriter
from kubeshark.pipeline import Pipeline, keep_freed_memory
import kubeshark.pipeline.intake._capture
keep_freed_memory()
sealing, seal = [0.0], LiveWriter._seal_all
def timed(self):
    try:
        seal(self)
    finally:
        sealing[0] += time.thread_time()
LiveWriter._seal_all = timed
before = []
def listening(now):
    if not before:
        before.append(time.process_time())
        print("listening", flush=True)
with Pipeline.open(sys.argv[2]) as pipeline, LiveSource([sys.argv[1]]) as source:
    signal.signal(signal.SIGINT, lambda *_: source.stop())
    done = pipeline.capture(source, on_progress=listening)
    cpu = time.process_time() - before[0]
print(json.dumps([done.stored, cpu - sealing[0], before[0], sealing[0], done.bytes]))
"""


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    size: int
    packets: int
    rate: int  # a second
    target: float  # our CPU a packet over dumpcap's, which the others are shown beside


CASES = (
    Case("64 B", 64, 400_000, 150_000, 0.5),
    Case("128 B", 128, 400_000, 150_000, 0.5),
    Case("1400 B", 1400, 150_000, 50_000, 1.5),
    Case("60 kB (GSO)", 60_000, 5_000, 2_000, 1.5),
)


@dataclass(frozen=True, slots=True)
class Kept:
    packets: int
    cpu_s: float  # since it listens
    begin_s: float  # before
    sealing_s: float = 0.0
    bytes: int = 0


def run(scratch: Path, runs: int, share: float = 1.0) -> list[Result]:
    """Measure every case against every peer; `share` of the packets."""
    peers = {
        AIM: [need("dumpcap", "tshark"), "-q", "-i", FAR, "-B", "64", "-P", "-w"],
        "tcpdump": [need("tcpdump", "tcpdump"), "-i", FAR, "-n", "-B", str(64 << 10), "-Z", "root", "-w"],
        "netsniff-ng": [need("netsniff-ng", "netsniff-ng"), "-i", FAR, "-s", "-S", "64MiB", "-T", "0xa1b2c3d4", "-o"],
    }
    need("ip", "iproute2")
    flood = _build(scratch)
    results = []
    with _cable():
        for case in CASES:
            count = max(int(case.packets * share), 1000)
            send = [str(flood), NEAR, str(count), str(case.rate), str(case.size)]
            ours: list[Kept] = []
            theirs: dict[str, list[Kept]] = {name: [] for name in peers}
            for _ in range(runs):
                ours.append(_ours(send, scratch))
                for name, command in peers.items():
                    theirs[name].append(_peer(command, send, scratch))
            results += _results(case, count, ours, theirs)
    return results


def _results(case: Case, sent: int, ours: list[Kept], theirs: dict[str, list[Kept]]) -> list[Result]:
    mine, kept = _cost(ours), _kept(ours)
    results = []
    for name, found in theirs.items():
        their, their_kept = _cost(found), _kept(found)
        begin, their_begin = (statistics.median(one.begin_s for one in some) for some in (ours, found))
        note = f"{1e6 * mine:.2f} against {1e6 * their:.2f} µs CPU a packet; {sent:,} sent"
        note += f"; to begin {1e3 * begin:.0f} against {1e3 * their_begin:.0f} ms"
        target = case.target if name == AIM else None
        results.append(Result(7, f"capture {case.name}: CPU a packet", name, mine / their, target, "lower", note))
        note = f"{kept:,.0f} against {their_kept:,.0f} of {sent:,}"
        ratio = kept / max(their_kept, 1)
        results.append(Result(7, f"capture {case.name}: packets kept", name, ratio, 1.0, "higher", note))
    stored = sum(one.bytes for one in ours)
    sealing = sum(one.sealing_s for one in ours) / max(stored / 1e9, 1e-9)
    note = f"{stored / len(ours) / 1e6:.0f} MB a run, by its own thread"
    if case.size >= 1000:  # of tiny packets a GB is mostly headers, and no capture is made of them
        case_name = f"capture {case.name}: CPU s a GB sealed"
        results.append(Result(7, case_name, "(sealing)", sealing, SEALING_TARGET, "lower", note))
    return results


def _cost(runs: list[Kept]) -> float:
    return statistics.median(one.cpu_s / max(one.packets, 1) for one in runs)


def _kept(runs: list[Kept]) -> float:
    return statistics.median(one.packets for one in runs)


def _ours(send: list[str], scratch: Path) -> Kept:
    os.sync()  # what others left unwritten would be written in our syncs
    store = scratch / f"live-{time.monotonic_ns()}"
    with subprocess.Popen([sys.executable, "-c", OURS, FAR, str(store)], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        if running.stdout.readline().strip() != "listening":
            raise RuntimeError("our capture did not begin")
        subprocess.run(send, check=True, capture_output=True)
        time.sleep(SETTLE_S)
        running.send_signal(signal.SIGINT)
        packets, cpu, begin, sealing, size = json.loads(running.stdout.read())
    return Kept(packets, cpu, begin, sealing, size)


def _peer(command: list[str], send: list[str], scratch: Path) -> Kept:
    os.sync()
    out = scratch / "peer.pcap"
    out.unlink(missing_ok=True)
    running = subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(SETTLE_S)
    begin = int(Path(f"/proc/{running.pid}/schedstat").read_text().split()[0]) / 1e9  # its threads are one
    subprocess.run(send, check=True, capture_output=True)
    time.sleep(SETTLE_S)
    running.send_signal(signal.SIGINT)
    _, status, usage = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if not out.exists():
        raise RuntimeError(f"{command[0]} wrote nothing: exit {running.returncode}")
    with open_capture(out) as reader:
        packets = sum(batch.count for batch in reader)
    return Kept(packets, usage.ru_utime + usage.ru_stime - begin, begin)


def _build(scratch: Path) -> Path:
    source, program = Path(__file__).with_name("flood.c"), scratch / "flood"
    subprocess.run([need("gcc", "gcc"), "-O2", "-o", str(program), str(source)], check=True)
    return program


@contextmanager
def _cable() -> Iterator[None]:
    """Have this thread and what it starts in a network of their own, with a cable."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise Missing(f"row 7 needs root, for a network namespace: {os.strerror(ctypes.get_errno())}")
        try:
            ipv6 = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
            if ipv6.exists():
                ipv6.write_text("1")
            for command in (f"link add {NEAR} type veth peer name {FAR}", f"link set {NEAR} up", f"link set {FAR} up"):
                subprocess.run(["ip", *command.split()], check=True)
            yield
        finally:
            libc.setns(before, CLONE_NEWNET)
    finally:
        os.close(before)
