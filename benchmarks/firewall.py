"""make bench-firewall: what the firewall costs a packet, beside nftables, iptables and xdp-filter, and of throughput.

Nanoseconds a packet are the kernel's own count of trial runs (BPF_PROG_TEST_RUN). Drops (_firewall_drops.py) and TCP
are compared by processor time for a fixed amount of work, in turns, on a veth pair between two network namespaces.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._firewall_drops import ANY, DROPPED, FLOOR, FLOOR_XDP, NOTES, build_flood, drops, rules
from benchmarks._page import write_page
from kubeshark.core_capture.ebpf import _calls
from kubeshark.firewall import Action, Direction, Rule, RuleSet, Tier, Traffic
from kubeshark.firewall.enforcement._enforcer import Enforcer
from kubeshark.firewall.kernel._plane import Plane
from kubeshark.firewall.sets._wire import Target
from tests.firewall._namespaces import Pair, pair

TCP = 6
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "firewall.json"
TARGETS = {
    "ns a packet, 200 rules against 1, accepted": "≤ 1.2",
    "ns a packet, 200 rules against 1, denied": "≤ 1.2",
    "ns a packet, 200 rules against 1, accepted, IPv6": "≤ 1.2",
    "ns a packet, 200 rules against 1, denied, IPv6": "≤ 1.2",
    "drop rate against an nft set": "≥ 0.9",
    "drop rate against an nft list": "≥ 5",
    "drop rate by XDP against xdp-filter": "≥ 0.9",
    "allowed TCP, 200 rules against none": "≥ 0.9",
}
_UDP4 = b"\x08\0\x45\0\0\x2e\0\1\0\0\x40\x11\0\0\x0a\x4d\0\2\x0a\x4d\0\1"
_UDP6 = (
    b"\x86\xdd\x60\0\0\0\0\x1a\x11\x40" + b"\xfd\x77".ljust(15, b"\0") + b"\2" + b"\xfd\x77".ljust(15, b"\0") + b"\1"
)
_PORTS = b"\x9c\x40" + DROPPED.to_bytes(2, "big") + b"\0\x1a\0\0" + bytes(18)
FRAMES = {4: bytes(12) + _UDP4 + _PORTS, 6: bytes(12) + _UDP6 + _PORTS}


def per_packet(turns: int, repeat: int) -> dict[str, float]:
    """Nanoseconds of one packet, by the kernel's own count: the least of all turns."""
    best: dict[str, float] = {}
    with Plane.create() as plane:
        for _ in range(turns):
            for version, frame in FRAMES.items():
                for last in (Action.ACCEPT, Action.DENY):
                    for count in (1, 10, 200):
                        plane.apply(rules(count, last, version), reports=False)
                        for hook, name in (("tcx", "ingress_at_ingress"), ("XDP", "ingress_at_xdp")):
                            took = _calls.try_run(plane.program(name), frame, repeat)[2]
                            case = f"IPv{version} {last.name.lower()} at {count} rules, {hook}"
                            best[case] = min(best.get(case, took), took)
    return best


def answers(namespaces: Pair, tries: int) -> dict[str, float]:
    """Milliseconds until a refused connection knows it: by RST over the wire, and by EPERM of a local connect()."""
    enforcer = Enforcer()
    refused = Traffic(TCP, DROPPED, DROPPED)
    both = RuleSet(
        tuple(
            Rule("bench", direction.name.lower(), Tier.ADMIN, direction, Action.REJECT, ANY, (refused,))
            for direction in Direction
        )
    )
    target = Target("host", both, ("eth0",), is_host=True)
    namespaces.within(namespaces.near, partial(enforcer.apply, [target]))
    found = {}
    try:
        for name, where, address, wanted in (
            ("refused by RST", namespaces.far, "10.77.0.1", errno.ECONNREFUSED),
            ("refused at connect()", namespaces.near, "10.77.0.2", errno.EPERM),
        ):
            took = []
            for _ in range(tries):
                with namespaces.open(where) as made:
                    began = time.perf_counter()
                    code = made.connect_ex((address, DROPPED))
                    took.append((time.perf_counter() - began) * 1e3)
                assert code == wanted, errno.errorcode.get(code, code)
                time.sleep(0.02)  # Reject answers a hundred times a second
            found[name] = median(took)
    finally:
        enforcer.close()
    return found


def throughput(namespaces: Pair, size: str, turns: int) -> dict[str, dict[str, float]]:
    """One allowed TCP connection that carries `size`: processor seconds of both ends and the kernel's way between (the
    least of all turns), and Gbit/s (the most)."""
    enforcer = Enforcer()
    best: dict[str, dict[str, float]] = {}
    for _ in range(turns):
        for name, count in (("without", 0), ("1 rule", 1), ("200 rules", 200)):
            if count:
                target = Target("bench", rules(count, Action.DENY), ("eth0",))
                namespaces.within(namespaces.near, partial(enforcer.apply, [target]))
            used, gbit = _transfer(namespaces, size)
            enforcer.close()
            known = best.setdefault(name, {"cpu_s": used, "gbit": gbit})
            best[name] = {"cpu_s": min(known["cpu_s"], used), "gbit": max(known["gbit"], gbit)}
    return best


def _transfer(namespaces: Pair, size: str) -> tuple[float, float]:
    server = subprocess.Popen(
        ["ip", "netns", "exec", namespaces.near, "iperf3", "-s", "-1", "--forceflush"],
        stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    assert server.stdout is not None
    while "listening" not in server.stdout.readline():
        pass
    client = subprocess.Popen(
        ["ip", "netns", "exec", namespaces.far, "iperf3", "-c", "10.77.0.1", "-n", size, "-J"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert client.stdout is not None
    said = json.loads(client.stdout.read())
    server.stdout.read()
    used = 0.0
    for process in (client, server):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, said
        used += usage.ru_utime + usage.ru_stime
        assert process.stdout is not None
        process.stdout.close()
    return used, said["end"]["sum_received"]["bits_per_second"] / 1e9


def ratios(report: dict[str, Any]) -> dict[str, float]:
    """Return row 11 of the design's targets: what this run says of each. Rates are those of equal processor time."""
    ns, drop, tcp = report["ns"], report["drops"], report["tcp"]
    ours, by_xdp = drop["kubeshark, 200 rules"]["ns"], drop["kubeshark, 200 rules, XDP"]["ns"]
    found = {}
    for version, more in ((4, ""), (6, ", IPv6")):
        for action in ("accept", "deny"):
            at_200, at_1 = (ns[f"IPv{version} {action} at {count} rules, tcx"] for count in (200, 1))
            said = "accepted" if action == "accept" else "denied"
            found[f"ns a packet, 200 rules against 1, {said}{more}"] = at_200 / at_1
    found["drop rate against an nft set"] = drop["nft set of 200"]["ns"] / ours
    found["drop rate against an nft list"] = drop["nft list of 200"]["ns"] / ours
    if "xdp-filter, 200 ports, XDP" in drop:
        found["drop rate by XDP against xdp-filter"] = drop["xdp-filter, 200 ports, XDP"]["ns"] / by_xdp
    found["allowed TCP, 200 rules against none"] = tcp["without"]["cpu_s"] / tcp["200 rules"]["cpu_s"]
    return found


def table(report: dict[str, Any]) -> list[str]:
    lines = [f"{'trial runs':>36}  ns a packet"]
    lines += [f"{name:>36}  {nanoseconds:6.0f}" for name, nanoseconds in report["ns"].items()]
    lines += ["", f"{'sent and dropped':>36}  ns a packet   to judge  M packets/s of one processor   by the clock"]
    floor, floor_xdp = (report["drops"][name]["ns"] for name in (FLOOR, FLOOR_XDP))
    for name, drop in report["drops"].items():
        judging = drop["ns"] - (floor_xdp if name.endswith("XDP") else floor)
        rates = f"{1e3 / drop['ns']:28.2f}  {drop['per_second'] / 1e6:13.2f}"
        lines.append(f"{name:>36}  {drop['ns']:11.0f}  {judging:9.0f}  {rates}")
    lines += ["", f"{'one TCP connection':>36}  processor s  Gbit/s by the clock"]
    lines += [f"{name:>36}  {tcp['cpu_s']:11.2f}  {tcp['gbit']:6.2f}" for name, tcp in report["tcp"].items()]
    lines += ["", *(f"{name:>36}  {took:6.3f} ms" for name, took in report["answer_ms"].items()), ""]
    lines += [f"{name}: {ratio:.2f} (target {TARGETS[name]})" for name, ratio in report["ratios"].items()]
    if report["drops"]["nft list of 200"]["ns"] < 1.2 * floor:
        lines.append(
            "This kernel does not charge the sender for softirqs (IRQ_TIME_ACCOUNTING): drops are not told apart."
        )
    return [*lines, "", *NOTES]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="once, little work: whether it runs, not how fast")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    args = parser.parse_args()
    needs = {"ip": "iproute2", "nft": "nftables", "iptables-restore": "iptables", "xdp-filter": "xdp-tools",
             "iperf3": "iperf3", "cc": "gcc"}  # fmt: skip
    lacking = {tool: package for tool, package in needs.items() if shutil.which(tool) is None}
    if lacking:
        print(
            f"missing: {', '.join(lacking)}; on Debian, apt-get install {' '.join(lacking.values())}", file=sys.stderr
        )
        return 1
    report: dict[str, Any] = {"ns": per_packet(*((2, 20_000) if args.short else (15, 100_000)))}
    with tempfile.TemporaryDirectory() as folder, pair() as namespaces:
        work = (20_000, 1) if args.short else (200_000, 5)
        found = drops(namespaces, build_flood(Path(folder)), *work)
        report["drops"] = {name: asdict(drop) for name, drop in found.items()}
    with pair() as namespaces:
        report["tcp"] = throughput(namespaces, *(("64M", 1) if args.short else ("1G", 5)))
        report["answer_ms"] = answers(namespaces, 5 if args.short else 50)
    report["ratios"] = ratios(report)
    if not args.short:
        about = {"targets": TARGETS, "kernel": platform.release(), "date": datetime.now(UTC).strftime("%Y-%m-%d")}
        RESULTS.write_text(json.dumps(report | about, indent=1) + "\n")
        write_page(ROOT)
    print(json.dumps(report, indent=1) if args.output == "json" else "\n".join(table(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
