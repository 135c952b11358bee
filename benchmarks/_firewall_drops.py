"""What dropping a packet costs: ours beside nftables, iptables and xdp-filter, on one veth pair, in turns.

veth hands a packet to its receiver on the sender's processor, within the sender's system call; so a sender on one
processor, with a fixed number of packets, is charged for the whole way: sending it, the filter, dropping it. Its
processor time is what is compared: it does not grow when others use the machine. Of several turns the least counts.

"drops at once" is a program of two instructions at the same hook: what is above it is the cost of judging.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from kubeshark.core_capture.ebpf import _calls
from kubeshark.firewall import Action, Direction, Rule, RuleSet, Tier, Traffic
from kubeshark.firewall.enforcement._enforcer import Enforcer
from kubeshark.firewall.kernel._xdp import XdpChoice
from kubeshark.firewall.sets._wire import Target
from tests.firewall._namespaces import Pair

__all__ = ["DROPPED", "FLOOR", "NOTES", "Drop", "build_flood", "drops", "rules"]

UDP = 17
ANY = (ip_network("0.0.0.0/0"),)
DROPPED = 5201  # the port of the last rule
FLOOR, FLOOR_XDP = "drops at once", "drops at once, XDP"
TC_DROP, XDP_DROP, NATIVE = 2, 1, 1 << 2
NOTES = (
    "Unfair to us: ours looks for a flow first and counts each rule; nftables and iptables here do neither.",
    "Unfair to nft's list and iptables: what is sent meets the last of 200 rules; a set, and ours, know no last.",
    "Fair to nft's set: a set has one verdict for all its pairs; each of our rules has its own.",
    "xdp-filter takes a port or an address, never both, and no range: it has 200 ports. Its peer is ours by XDP.",
    "On a veth pair XDP pays for a copy that a network card does not make: XDP against tcx says nothing about a card.",
)


def rules(count: int, last: Action, version: int = 4) -> RuleSet:
    """`count` rules for different sources and ports; the last takes what is sent."""
    others = [
        Rule(
            "bench", str(index), Tier.ADMIN, Direction.INGRESS, Action.DENY,
            (ip_network(f"10.{index}.0.0/16") if version == 4 else ip_network(f"fd77:{index:x}::/32"),),
            (Traffic(UDP, 3000 + index, 3000 + index),),
        )
        for index in range(count - 1)
    ]  # fmt: skip
    everybody = ANY if version == 4 else (ip_network("::/0"),)
    decides = Rule("bench", "last", Tier.ADMIN, Direction.INGRESS, last, everybody, (Traffic(UDP, DROPPED, DROPPED),))
    return RuleSet((*others, decides))


@dataclass(frozen=True, slots=True)
class Drop:
    """Nanoseconds of processor time a packet, the least of all turns, and the best rate by the clock."""

    ns: float
    per_second: float


def build_flood(folder: Path) -> Path:
    flood = folder / "flood"
    subprocess.run(["cc", "-O2", "-o", str(flood), str(Path(__file__).with_name("_flood.c"))], check=True)
    return flood


def drops(namespaces: Pair, flood: Path, packets: int, turns: int) -> dict[str, Drop]:
    """Return what each way of dropping costs. Raises AssertionError if one let a packet through, or never saw it."""
    best: dict[str, Drop] = {}
    processor = str(max(os.sched_getaffinity(0)))
    near_eth0 = within(namespaces.near, "cat", "/sys/class/net/eth0/address").strip()
    set_neighbour = ("ip", "neigh", "replace", "10.77.0.1", "lladdr", near_eth0, "dev", "eth0", "nud", "permanent")
    within(namespaces.far, *set_neighbour)  # who drops at once drops ARP, too
    for _ in range(turns):
        for name, filtered in _kinds(namespaces):
            with filtered():
                before = _seen(namespaces)
                sent, used, took = map(
                    int, within(namespaces.far, str(flood), "10.77.0.1", str(DROPPED), str(packets), processor).split()
                )
                passed, lost = (now - then for now, then in zip(_seen(namespaces), before, strict=True))
            assert passed == 0, f"{name}: {passed} of {sent} packets came through"
            assert lost <= sent // 100, f"{name}: {lost} of {sent} packets never came to the filter"
            ns, rate = used / sent, sent / took * 1e9
            known = best.get(name, Drop(ns, rate))
            best[name] = Drop(min(known.ns, ns), max(known.per_second, rate))
    return best


def within(name: str, *command: str) -> str:
    command = ("ip", "netns", "exec", name, *command)
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout


def _seen(namespaces: Pair) -> tuple[int, int]:
    """Return how many datagrams came up to UDP in the near namespace, and how many the pair lost on the way."""
    lines = [line.split() for line in within(namespaces.near, "cat", "/proc/net/snmp").splitlines()]
    names, values = (line for line in lines if line[0] == "Udp:")
    udp = dict(zip(names[1:], map(int, values[1:]), strict=True))
    far = within(namespaces.far, "cat", "/proc/net/dev")
    numbers = next(line.split(":")[1].split() for line in far.splitlines() if line.strip().startswith("eth0:"))
    return udp["NoPorts"] + udp["InDatagrams"], int(numbers[11])


Filter = Callable[[], AbstractContextManager[None]]


def _kinds(namespaces: Pair) -> Iterator[tuple[str, Filter]]:
    near = namespaces.near
    yield FLOOR, lambda: _floor(namespaces)
    yield FLOOR_XDP, lambda: _floor(namespaces, by_xdp=True)
    yield "kubeshark, 1 rule", lambda: _ours(namespaces, 1)
    yield "kubeshark, 200 rules", lambda: _ours(namespaces, 200)
    yield "kubeshark, 200 rules, XDP", lambda: _ours(namespaces, 200, "native")
    hook = "type filter hook ingress device eth0 priority 0;"
    listed = "".join(f"ip saddr 10.{n}.0.0/16 udp dport {3000 + n} drop\n" for n in range(199))
    elements = "".join(f"10.{n}.0.0/16 . {3000 + n}, " for n in range(199)) + f"10.77.0.2 . {DROPPED}"
    pairs = f"set pairs {{ type ipv4_addr . inet_service\nflags interval\nelements = {{ {elements} }}\n}}"
    yield "nft, 1 rule", lambda: _nft(near, f"chain in {{ {hook}\nudp dport {DROPPED} drop\n}}")
    yield "nft set of 200", lambda: _nft(near, f"{pairs}\nchain in {{ {hook}\nip saddr . udp dport @pairs drop\n}}")
    yield "nft list of 200", lambda: _nft(near, f"chain in {{ {hook}\n{listed} udp dport {DROPPED} drop\n}}")
    if shutil.which("iptables-restore"):
        yield "iptables list of 200", lambda: _iptables(near)
    if shutil.which("xdp-filter"):
        yield "xdp-filter, 200 ports, XDP", lambda: _xdp_filter(near)


@contextlib.contextmanager
def _floor(namespaces: Pair, *, by_xdp: bool = False) -> Iterator[None]:
    kind, verdict = (_calls.XDP, XDP_DROP) if by_xdp else (_calls.SCHED_CLS, TC_DROP)
    answers = struct.pack("<BBhiBBhi", 0xB7, 0, 0, verdict, 0x95, 0, 0, 0)  # r0 = verdict; exit
    program = _calls.load_program(kind, "floor", answers)

    def attach() -> int:
        index = socket.if_nametoindex("eth0")
        return _calls.link_xdp(program, index, NATIVE) if by_xdp else _calls.link_tcx(program, index, egress=False)

    link = namespaces.within(namespaces.near, attach)
    try:
        yield
    finally:
        os.close(link)
        os.close(program)


@contextlib.contextmanager
def _ours(namespaces: Pair, count: int, xdp: XdpChoice = "off") -> Iterator[None]:
    enforcer = Enforcer(xdp=xdp)
    target = Target("bench", rules(count, Action.DENY), ("eth0",))
    namespaces.within(namespaces.near, lambda: enforcer.apply([target]))
    try:
        for held in enforcer._held.values():
            held.plane.apply(target.rules, reports=False)  # nobody else here writes a record of each packet
        yield
    finally:
        enforcer.close()


@contextlib.contextmanager
def _nft(near: str, body: str) -> Iterator[None]:
    def run(text: str) -> None:
        subprocess.run(["ip", "netns", "exec", near, "nft", "-f", "-"], input=text, check=True, text=True)

    run(f"table netdev bench {{\n{body}\n}}\n")
    try:
        yield
    finally:
        run("delete table netdev bench\n")


@contextlib.contextmanager
def _iptables(near: str) -> Iterator[None]:
    lines = [f"-A PREROUTING -s 10.{n}.0.0/16 -p udp --dport {3000 + n} -j DROP" for n in range(199)]
    text = "\n".join(["*raw", *lines, f"-A PREROUTING -p udp --dport {DROPPED} -j DROP", "COMMIT", ""])
    subprocess.run(["ip", "netns", "exec", near, "iptables-restore"], input=text, check=True, text=True)
    try:
        yield
    finally:
        within(near, "iptables", "-t", "raw", "-F")


@contextlib.contextmanager
def _xdp_filter(near: str) -> Iterator[None]:
    """Its maps and programs live in a bpffs of their own, as long as the shell does."""
    ports = [*range(3000, 3199), DROPPED]
    script = "\n".join(
        (
            "set -e",
            "mount -t bpf bpf /sys/fs/bpf",
            "xdp-filter load --mode native --features udp eth0 >&2",
            f"for port in {' '.join(map(str, ports))}; do xdp-filter port $port --mode dst --proto udp >&2; done",
            "echo ready",
            "read -r _ || true",
            "xdp-filter unload eth0 >&2",
        )
    )
    shell = subprocess.Popen(
        ["unshare", "--mount", "nsenter", f"--net=/run/netns/{near}", "sh", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert shell.stdout is not None
    ready = shell.stdout.readline()
    if not ready:
        raise RuntimeError(f"xdp-filter: {shell.communicate()[1].strip()[-300:]}")
    try:
        yield
    finally:
        _, said = shell.communicate("\n")
        if shell.returncode:
            sys.stderr.write(said)
