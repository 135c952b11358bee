"""Enforcement on real traffic: two network namespaces, the kernel's own TCP, UDP and ICMP."""

from __future__ import annotations

import errno
import socket
import struct
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from kubeshark.core_capture.ebpf import _calls
from kubeshark.firewall import Action, Direction, Exempt, Rule, RuleSet, Tier, Traffic
from kubeshark.firewall._errors import FirewallError
from kubeshark.firewall.enforcement._enforcer import Enforcer
from kubeshark.firewall.sets._wire import Target
from tests.firewall._namespaces import Pair, ip, join, pair
from tests.firewall._privileged import needs_namespaces

pytestmark = needs_namespaces
ANY = (ip_network("0.0.0.0/0"), ip_network("::/0"))
IN, OUT = Direction.INGRESS, Direction.EGRESS
V4, V6 = socket.AF_INET, socket.AF_INET6
TCP, UDP = 6, 17


def rule(action: Action, direction: Direction = IN, *traffic: Traffic, **more: Any) -> Rule:
    return Rule("p", more.pop("name", "r"), more.pop("tier", Tier.ADMIN), direction, action, ANY, traffic, **more)


def host(*rules: Rule, **more: Any) -> list[Target]:
    return [Target("host", RuleSet(rules, **more), ("eth0",))]


def port(number: int, protocol: int = TCP) -> Traffic:
    return Traffic(protocol, number, number)


class Firewall:
    """An enforcer that works inside the near namespace."""

    def __init__(self, namespaces: Pair, **options: Any) -> None:
        self.namespaces = namespaces
        self.enforcer = Enforcer(**options)

    def do(self, name: str, *arguments: Any, **options: Any) -> Any:
        return self.namespaces.within(self.namespaces.near, lambda: getattr(self.enforcer, name)(*arguments, **options))


@pytest.fixture
def namespaces() -> Iterator[Pair]:
    with pair() as made:
        yield made


@pytest.fixture(params=["tcx", "clsact"])
def firewall(request: pytest.FixtureRequest, namespaces: Pair) -> Iterator[Firewall]:
    made = Firewall(namespaces, force=request.param)
    yield made
    made.do("close")


def exchange(namespaces: Pair, number: int, family: int) -> bool:
    with namespaces.listen(number, family) as server, namespaces.connect(number, family) as client:
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(2)
            accepted.sendall(b"hello")
            return client.recv(5) == b"hello"


@pytest.mark.parametrize("family", [V4, V6])
def test_accept_deny_and_reject(firewall: Firewall, family: int) -> None:
    namespaces = firewall.namespaces
    firewall.do("apply", host(rule(Action.DENY, IN, port(81)), rule(Action.REJECT, IN, port(82), port(82, UDP))))
    assert exchange(namespaces, 80, family)
    with pytest.raises(TimeoutError):
        namespaces.connect(81, family, timeout_s=0.5)
    with namespaces.listen(82, family), pytest.raises(ConnectionRefusedError):
        namespaces.connect(82, family)
    with namespaces.open(namespaces.far, family, socket.SOCK_DGRAM) as asking:
        asking.connect(("10.77.0.1" if family == V4 else "fd77::1", 82))
        asking.send(b"?")
        with pytest.raises(OSError) as refused:
            asking.recv(1)
        assert refused.value.errno in (errno.EHOSTUNREACH, errno.EACCES, errno.ECONNREFUSED)


@pytest.mark.parametrize("family", [V4, V6])
def test_rejected_egress_is_answered_here(firewall: Firewall, family: int) -> None:
    namespaces = firewall.namespaces
    firewall.do("apply", host(rule(Action.REJECT, OUT, port(99), port(99, UDP))))
    peer = "10.77.0.2" if family == V4 else "fd77::2"
    with namespaces.open(namespaces.near, family) as asking, pytest.raises(ConnectionRefusedError):
        asking.connect((peer, 99))
    with namespaces.open(namespaces.near, family, socket.SOCK_DGRAM) as asking:
        asking.connect((peer, 99))
        with pytest.raises(OSError) as refused:
            asking.send(b"?")
            asking.recv(1)
        assert refused.value.errno in (errno.EHOSTUNREACH, errno.EACCES, errno.ECONNREFUSED)


def test_default_deny_with_an_allow_list(firewall: Firewall) -> None:
    namespaces = firewall.namespaces
    firewall.do(
        "apply",
        host(
            rule(Action.ACCEPT, IN, port(80)),
            rule(Action.DENY, IN, tier=Tier.BASELINE),
            rule(Action.DENY, OUT, tier=Tier.BASELINE),
        ),
    )
    for family in (V4, V6):
        assert exchange(namespaces, 80, family)  # neighbour discovery is essential, replies are of the flow
        with pytest.raises(TimeoutError):
            namespaces.connect(8080, family, timeout_s=0.3)


def test_audit_records_and_lets_through(firewall: Firewall) -> None:
    firewall.do(
        "apply", host(rule(Action.AUDIT, IN, port(80), name="watch"), rule(Action.DENY, IN, port(80), dry=True))
    )
    assert exchange(firewall.namespaces, 80, V4)
    events = [document for _, document in firewall.do("events") or ()]
    assert {event["verdict"] for event in events} == {"would_deny"}
    assert events[0]["src"] == "10.77.0.2" and events[0]["dstPort"] == 80 and events[0]["policy"] == "p"
    [target] = firewall.do("status")["targets"]
    assert target["events"] == len(events) and target["lost"] == 0
    assert target["rules"][0]["packets"] == target["rules"][1]["packets"] == len(events)


def test_a_new_deny_ends_live_connections(firewall: Firewall) -> None:
    namespaces = firewall.namespaces
    firewall.do("apply", host(rule(Action.ACCEPT)))
    with namespaces.listen(80) as server, namespaces.connect(80) as client:
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(b"1")
            assert client.recv(1) == b"1"
            firewall.do("apply", host(rule(Action.DENY, IN, port(80))))
            client.settimeout(0.5)
            accepted.sendall(b"2")
            with pytest.raises(TimeoutError):
                client.recv(1)
            firewall.do("roll_back")
            client.settimeout(5)
            assert client.recv(1) == b"2"  # TCP sends it again


def test_scans_spoofed_and_fragments(firewall: Firewall) -> None:
    """An ACK without a flow, a FIN, a NULL scan, and an address that is nobody's do not get through default deny."""
    namespaces = firewall.namespaces
    firewall.do("apply", host(rule(Action.ACCEPT, IN, port(80)), rule(Action.DENY, IN, tier=Tier.BASELINE)))
    [before] = firewall.do("status")["targets"]
    with namespaces.open(namespaces.far, V4, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for flags in (0x10, 0x01, 0x00, 0x29, 0x12):
            for source in ("10.77.0.2", "10.77.0.99", "10.77.0.1"):
                head = struct.pack(">BBHHHBBH", 0x45, 0, 40, 1, 0, 64, TCP, 0)
                head += socket.inet_aton(source) + socket.inet_aton("10.77.0.1")
                raw.sendto(head + struct.pack(">HHIIBBHHH", 5555, 22, 1, 1, 0x50, flags, 99, 0, 0), ("10.77.0.1", 0))
    [after] = firewall.do("status")["targets"]
    assert after["rules"][1]["packets"] - before["rules"][1]["packets"] == 15
    with namespaces.open(namespaces.near, V4, socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", 7000))
        server.settimeout(0.3)
        with namespaces.open(namespaces.far, V4, socket.SOCK_DGRAM) as asking:
            asking.sendto(bytes(4000), ("10.77.0.1", 7000))  # in three fragments: the first is judged
        with pytest.raises(TimeoutError):
            server.recv(1)


def test_by_flags_open_connections_go_on_and_new_ones_are_judged(firewall: Firewall) -> None:
    namespaces = firewall.namespaces
    firewall.do("apply", host(rule(Action.ACCEPT), tcp_by_flags=True))
    with namespaces.listen(80) as server, namespaces.connect(80) as client, server.accept()[0] as accepted:
        firewall.do("apply", host(rule(Action.DENY), rule(Action.DENY, OUT), tcp_by_flags=True))
        for _ in range(3):
            client.sendall(b"on")
            assert accepted.recv(2) == b"on"
            accepted.sendall(b"and")
            assert client.recv(3) == b"and"
        with pytest.raises(TimeoutError):
            namespaces.connect(80, timeout_s=0.5)
    [target] = firewall.do("status")["targets"]
    assert target["other"]["flags"] >= 6
    assert target["other"]["reply"] == 0


def test_rejects_are_limited_and_never_answer_a_rst(namespaces: Pair) -> None:
    firewall = Firewall(namespaces)
    firewall.do("apply", host(rule(Action.REJECT)))
    began = time.monotonic()
    with namespaces.open(namespaces.far, V4, socket.SOCK_DGRAM) as asking:
        for _ in range(500):
            asking.sendto(b"?", ("10.77.0.1", 9))
    seconds = int(time.monotonic() - began) + 2  # that it fell into
    [target] = firewall.do("status")["targets"]
    assert target["answered"] <= 105 * seconds and target["answered"] + target["silent"] == 500
    time.sleep(1.1)
    with namespaces.open(namespaces.far, V4, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 40, 1, 0, 64, TCP, 0)
        head += socket.inet_aton("10.77.0.2") + socket.inet_aton("10.77.0.1")
        raw.sendto(head + struct.pack(">HHIIBBHHH", 5555, 22, 1, 1, 0x50, 0x04, 99, 0, 0), ("10.77.0.1", 0))
    [again] = firewall.do("status")["targets"]
    assert again["answered"] == target["answered"]
    assert again["events"] + again["lost"] == sum(each["packets"] for each in again["rules"])
    firewall.do("close")


@pytest.mark.parametrize("flips", [100, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_flips_under_traffic_lose_nothing_that_is_allowed(namespaces: Pair, flips: int) -> None:
    firewall = Firewall(namespaces)
    policies = [
        host(
            rule(Action.ACCEPT, IN, port(7, UDP)),
            *(rule(Action.DENY, IN, port(1000 + turn * 200 + number)) for number in range(150)),
            rule(Action.DENY, IN, tier=Tier.BASELINE),
        )
        for turn in range(2)
    ]
    firewall.do("apply", policies[0])
    stopping, is_over = threading.Event(), threading.Event()
    datagrams = (V4, socket.SOCK_DGRAM)
    with namespaces.open(namespaces.near, *datagrams) as server, namespaces.open(namespaces.far, *datagrams) as client:
        server.bind(("0.0.0.0", 7))
        client.connect(("10.77.0.1", 7))

        def echo() -> None:
            while not is_over.is_set():
                try:
                    data, peer = server.recvfrom(64)
                except TimeoutError:
                    continue
                server.sendto(data, peer)

        trips = lost = 0

        def ask() -> None:
            nonlocal trips, lost
            while not stopping.is_set():
                trips += 1
                client.send(b"?")
                try:
                    client.recv(1)
                except TimeoutError:
                    lost += 1

        answers, asks = threading.Thread(target=echo), threading.Thread(target=ask)
        answers.start()
        asks.start()
        for turn in range(flips):
            firewall.do("apply", policies[turn % 2])
        stopping.set()
        asks.join()
        is_over.set()  # not before: the last question wants its answer
        answers.join()
    firewall.do("close")
    assert trips > flips
    assert lost == 0


def test_a_flood_of_syns_does_not_evict_an_established_flow(namespaces: Pair) -> None:
    firewall = Firewall(namespaces)
    firewall.do(
        "apply", host(rule(Action.ACCEPT, OUT, port(80)), rule(Action.ACCEPT, IN, port(9)), rule(Action.DENY, IN))
    )
    with namespaces.open(namespaces.far) as server:
        server.bind(("10.77.0.2", 80))
        server.listen()
        with namespaces.open(namespaces.near) as client:
            client.connect(("10.77.0.2", 80))
            accepted, _ = server.accept()
            plane = firewall.enforcer._held["host"].plane
            program = plane.program("ingress_at_ingress")
            for number in range(80_000):
                source = struct.pack(">I", 0x0B000000 + number)
                head = b"\x45\0\0\x28\0\1\0\0\x40\x06\0\0" + source + b"\x0a\x4d\0\1"
                _calls.try_run(
                    program, bytes(12) + b"\x08\0" + head + b"\x30\x39\0\x09" + bytes(8) + b"\x50\2" + bytes(6)
                )
            accepted.sendall(b"still")
            assert client.recv(5) == b"still"
            accepted.close()
    firewall.do("close")


def test_other_tcx_programs_keep_running(namespaces: Pair) -> None:
    """Two planes on one device: what the first lets through the second judges, and either may go."""
    first, second = Firewall(namespaces), Firewall(namespaces)
    first.do("apply", host(rule(Action.DENY, IN, port(81))))
    second.do("apply", host(rule(Action.DENY, IN, port(82))))
    for number in (81, 82):
        with pytest.raises(TimeoutError):
            namespaces.connect(number, timeout_s=0.3)
    second.do("close")
    assert exchange(namespaces, 82, V4)
    with pytest.raises(TimeoutError):
        namespaces.connect(81, timeout_s=0.3)
    first.do("close")
    assert exchange(namespaces, 81, V4)


def test_a_device_that_comes_again_is_attached_again(firewall: Firewall) -> None:
    namespaces = firewall.namespaces
    firewall.do("apply", host(rule(Action.DENY, IN, port(81))))
    ip("-n", namespaces.near, "link", "del", "eth0")
    firewall.do("tick")
    assert firewall.do("status")["targets"][0]["notEnforced"] == {"eth0": "there is no such device"}
    join(namespaces)
    firewall.do("tick")
    assert exchange(namespaces, 80, V4)
    with pytest.raises(TimeoutError):
        namespaces.connect(81, timeout_s=0.3)


def test_what_is_not_confirmed_is_undone(namespaces: Pair) -> None:
    now = [100.0]
    firewall = Firewall(namespaces, clock=lambda: now[0])
    firewall.do("apply", host(rule(Action.ACCEPT)))
    firewall.do("apply", host(rule(Action.DENY)), confirm_within_s=60)
    with pytest.raises(TimeoutError):
        namespaces.connect(80, timeout_s=0.3)
    now[0] += 59
    assert firewall.do("tick") == ""
    now[0] += 1
    assert "not confirmed" in firewall.do("tick")
    assert exchange(namespaces, 80, V4)
    firewall.do("apply", host(rule(Action.DENY)), confirm_within_s=60, ttl_s={"p": 90})
    firewall.do("confirm")
    now[0] += 61
    assert firewall.do("tick") == ""
    now[0] += 30
    assert "time is over" in firewall.do("tick")
    assert exchange(namespaces, 80, V4)
    assert firewall.enforcer.ttl_left("p") == 0 and firewall.enforcer.targets == ()
    firewall.do("roll_back")
    with pytest.raises(FirewallError, match="nothing to go back to"):
        firewall.do("roll_back")
    firewall.do("close")


def test_what_fails_leaves_the_policy_before(namespaces: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    firewall = Firewall(namespaces)
    firewall.do("apply", host(rule(Action.DENY, IN, port(81))))
    bad = [*host(rule(Action.ACCEPT)), Target("other", RuleSet((), exempt=(Exempt("e", IN, (), ()),) * 65), ())]
    with pytest.raises(Exception, match="65 exemptions"):
        firewall.do("apply", bad)
    with pytest.raises(TimeoutError):
        namespaces.connect(81, timeout_s=0.3)
    firewall.do("close")


def test_the_host_side_of_a_veth_is_the_pods_other_direction(namespaces: Pair) -> None:
    """Attached in `far` as if it were the node, with `near` as the pod: ingress rules hold for what `near` gets."""
    enforcer = Enforcer()
    target = Target("pod", RuleSet((rule(Action.DENY, IN, port(81)),)), ("eth0",), is_pod=True)
    namespaces.within(namespaces.far, lambda: enforcer.apply([target]))
    assert exchange(namespaces, 80, V4)
    with pytest.raises(TimeoutError):
        namespaces.connect(81, timeout_s=0.3)
    enforcer.close()


def test_connect_is_refused_at_once(tmp_path: Path, namespaces: Pair) -> None:
    firewall = Firewall(namespaces)
    targets = [Target("host", RuleSet((rule(Action.REJECT, OUT, port(99)),)), ("eth0",), is_host=True)]
    firewall.do("apply", targets)
    if "connect()" in firewall.do("status")["targets"][0]["notEnforced"]:
        firewall.do("close")
        pytest.skip("no cgroup2 is mounted here")
    with namespaces.open(namespaces.near) as asking, pytest.raises(PermissionError):
        asking.connect(("10.77.0.2", 99))
    with namespaces.open(namespaces.near) as asking, pytest.raises(ConnectionRefusedError):
        asking.connect(("127.0.0.1", 99))  # never leaves the machine: not judged
    assert firewall.do("status")["targets"][0]["refusedConnects"] == 1
    firewall.do("close")
