"""make bench-firewall: the firewall's cost a packet, its drop rate beside nftables and iptables, throughput with it.

Everything runs in network namespaces joined by a veth pair, on the same machine one after the other, in turns; the best
of the runs counts. veth hands a packet to the receiver on the sender's processor, so what a sender manages while all it
sends is dropped is the speed of dropping, with that of sending in it.
"""

from __future__ import annotations

import argparse
import errno
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from statistics import median
from typing import Any

from kubeshark.core_capture.ebpf import _calls
from kubeshark.firewall import Action, Direction, Rule, RuleSet, Tier, Traffic
from kubeshark.firewall._enforcer import Enforcer
from kubeshark.firewall._plane import Plane
from kubeshark.firewall._wire import Target
from tests.firewall._namespaces import Pair, pair

TCP, UDP = 6, 17
RESULTS = Path(__file__).with_name("results") / "firewall.json"
TARGETS = {
    "ns a packet, 200 rules against 1, accepted": "≤ 1.2",
    "ns a packet, 200 rules against 1, denied": "≤ 1.2",
    "drop rate against an nft set": "≥ 0.9",
    "drop rate against an nft list": "≥ 5",
    "allowed TCP, 200 rules against none": "≥ 0.9",
}
ANY = (ip_network("0.0.0.0/0"),)
DROPPED = 5201  # the port of the last rule


def rules(count: int, last: Action) -> RuleSet:
    """`count` rules for different sources and ports; the last takes what is sent."""
    others = [
        Rule("bench", str(index), Tier.ADMIN, Direction.INGRESS, Action.DENY, (ip_network(f"10.{index}.0.0/16"),),
             (Traffic(UDP, 3000 + index, 3000 + index),))
        for index in range(count - 1)
    ]  # fmt: skip
    decides = Rule("bench", "last", Tier.ADMIN, Direction.INGRESS, last, ANY, (Traffic(UDP, DROPPED, DROPPED),))
    return RuleSet((*others, decides))


def per_packet(runs: int) -> dict[str, float]:
    """Nanoseconds of one packet, by the kernel's own count."""
    frame = (
        bytes(12) + b"\x08\0\x45\0\0\x2e\0\1\0\0\x40\x11\0\0\x0a\x4d\0\2\x0a\x4d\0\1" + b"\x9c\x40\x14\x51\0\x1a\0\0"
    )
    frame += bytes(18)
    found: dict[str, float] = {}
    with Plane.create() as plane:
        program = plane.program("ingress_at_ingress")
        for count in (1, 10, 200):
            for last in (Action.ACCEPT, Action.DENY):
                plane.apply(rules(count, last), reports=False)
                best = min(_calls.try_run(program, frame, 200_000)[2] for _ in range(runs))
                found[f"{last.name.lower()} at {count} rules"] = best
    return found


def within(name: str, *command: str) -> str:
    done = subprocess.run(["ip", "netns", "exec", name, *command], check=True, capture_output=True, text=True)
    return done.stdout


def drop_rates(namespaces: Pair, flood: Path, seconds: float, runs: int) -> dict[str, float]:
    near, far = namespaces.near, namespaces.far
    enforcer = Enforcer()

    def ours(count: int) -> None:
        enforcer.apply([Target("bench", rules(count, Action.DENY), ("eth0",))])
        for held in enforcer._held.values():
            held.plane.apply(held.target.rules, reports=False)

    def nft(text: str) -> None:
        subprocess.run(["ip", "netns", "exec", near, "nft", "-f", "-"], input=text, check=True, text=True)

    def table(body: str) -> str:
        return f"table netdev bench {{\n{body}\n}}\n"

    hook = "type filter hook ingress device eth0 priority 0;"
    listed = "".join(f"ip saddr 10.{n}.0.0/16 udp dport {3000 + n} drop\n" for n in range(199))
    elements = ", ".join(f"10.{n}.0.0/16 . {3000 + n}" for n in range(199))
    elements = f"{elements}, 10.77.0.2 . {DROPPED}"
    pairs = f"set pairs {{ type ipv4_addr . inet_service\nflags interval\nelements = {{ {elements} }}\n}}"

    def iptables() -> None:
        lines = [f"-A PREROUTING -s 10.{n}.0.0/16 -p udp --dport {3000 + n} -j DROP" for n in range(199)]
        text = "\n".join(["*raw", *lines, f"-A PREROUTING -p udp --dport {DROPPED} -j DROP", "COMMIT", ""])
        subprocess.run(["ip", "netns", "exec", near, "iptables-restore"], input=text, check=True, text=True)

    def nothing() -> None:
        """No filter at all: what sending costs, and a socket that nobody opened."""

    kinds: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "no filter": (nothing, nothing),
        "kubeshark, 1 rule": (lambda: namespaces.within(near, lambda: ours(1)), enforcer.close),
        "kubeshark, 200 rules": (lambda: namespaces.within(near, lambda: ours(200)), enforcer.close),
        "nft set of 200": (
            lambda: nft(table(f"{pairs}\nchain in {{ {hook}\nip saddr . udp dport @pairs drop\n}}")),
            lambda: nft("delete table netdev bench\n"),
        ),
        "nft list of 200": (
            lambda: nft(table(f"chain in {{ {hook}\n{listed} udp dport {DROPPED} drop\n}}")),
            lambda: nft("delete table netdev bench\n"),
        ),
    }
    if shutil.which("iptables"):
        kinds["iptables list of 200"] = (iptables, lambda: within(near, "iptables", "-t", "raw", "-F"))
    best = dict.fromkeys(kinds, 0.0)
    for _ in range(runs):
        for name, (start, stop) in kinds.items():
            start()
            rate = float(within(far, str(flood), "10.77.0.1", str(DROPPED), str(seconds)))
            stop()
            best[name] = max(best[name], rate)
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


def throughput(namespaces: Pair, seconds: float, runs: int) -> dict[str, float]:
    """Gbit/s of one allowed TCP connection."""
    enforcer = Enforcer()
    best = dict.fromkeys(("without", "1 rule", "200 rules"), 0.0)
    for _ in range(runs):
        for name, count in (("without", 0), ("1 rule", 1), ("200 rules", 200)):
            if count:
                target = Target("bench", rules(count, Action.DENY), ("eth0",))
                namespaces.within(namespaces.near, partial(enforcer.apply, [target]))
            server = subprocess.Popen(
                ["ip", "netns", "exec", namespaces.near, "iperf3", "-s", "-1", "--forceflush"],
                stdout=subprocess.PIPE, text=True, bufsize=1,
            )  # fmt: skip
            assert server.stdout is not None
            while "listening" not in server.stdout.readline():
                pass
            said = within(namespaces.far, "iperf3", "-c", "10.77.0.1", "-t", str(seconds), "-J")
            server.communicate()
            enforcer.close()
            best[name] = max(best[name], json.loads(said)["end"]["sum_received"]["bits_per_second"] / 1e9)
    return best


def ratios(report: dict[str, Any]) -> dict[str, float]:
    """Return row 11 of the design's targets: what this run says of each."""
    ns, drops, gbit = report["ns"], report["drops"], report["gbit"]
    ours = drops["kubeshark, 200 rules"]
    return {
        "ns a packet, 200 rules against 1, accepted": ns["accept at 200 rules"] / ns["accept at 1 rules"],
        "ns a packet, 200 rules against 1, denied": ns["deny at 200 rules"] / ns["deny at 1 rules"],
        "drop rate against an nft set": ours / drops["nft set of 200"],
        "drop rate against an nft list": ours / drops["nft list of 200"],
        "allowed TCP, 200 rules against none": gbit["200 rules"] / gbit["without"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="once, a second each: whether it runs, not how fast")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    args = parser.parse_args()
    lacking = [tool for tool in ("ip", "nft", "iperf3", "cc") if shutil.which(tool) is None]
    if lacking:
        print(
            f"missing: {', '.join(lacking)}; on Debian, apt-get install iproute2 nftables iperf3 gcc", file=sys.stderr
        )
        return 1
    runs, seconds = (1, 1.0) if args.short else (5, 3.0)
    report: dict[str, Any] = {"ns": per_packet(runs)}
    with tempfile.TemporaryDirectory() as folder, pair() as namespaces:
        flood = Path(folder) / "flood"
        subprocess.run(["cc", "-O2", "-o", str(flood), str(Path(__file__).with_name("_flood.c"))], check=True)
        report["drops"] = drop_rates(namespaces, flood, seconds, runs)
        report["gbit"] = throughput(namespaces, seconds, runs)
        report["answer_ms"] = answers(namespaces, 5 if args.short else 50)
    report["ratios"] = ratios(report)
    if not args.short:
        RESULTS.write_text(json.dumps({**report, "kernel": platform.release(), "runs": runs}, indent=1) + "\n")
    if args.output == "json":
        print(json.dumps(report, indent=1))
        return 0
    for name, nanoseconds in report["ns"].items():
        print(f"{name:>24}  {nanoseconds:6.0f} ns a packet")
    for name, rate in report["drops"].items():
        print(f"{name:>24}  {rate / 1e6:6.2f} M packets a second sent and dropped")
    for name, rate in report["gbit"].items():
        print(f"{name:>24}  {rate:6.2f} Gbit/s of TCP")
    for name, milliseconds in report["answer_ms"].items():
        print(f"{name:>24}  {milliseconds:6.3f} ms")
    for name, ratio in report["ratios"].items():
        print(f"{name}: {ratio:.2f} (target {TARGETS[name]})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
