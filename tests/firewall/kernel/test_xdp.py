"""XDP in front: what is denied does not get to the stack, all else does, and nobody else's program is touched."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from kubeshark.core_capture.ebpf import _calls
from kubeshark.firewall import Action, RuleSet, Tier
from kubeshark.firewall._errors import FirewallError
from kubeshark.firewall.enforcement._enforcer import Enforcer
from kubeshark.firewall.kernel._devices import xdp_on
from kubeshark.firewall.kernel._plane import Plane
from kubeshark.firewall.kernel._xdp import PROGRAM, wants_xdp
from kubeshark.firewall.sets._wire import PodAt, Target
from tests.firewall._namespaces import Pair, ip, join, pair
from tests.firewall._privileged import needs_namespaces
from tests.firewall.enforcement.test_enforcer import IN, OUT, UDP, V4, V6, Firewall, exchange, host, port, rule

pytestmark = needs_namespaces
ETH_P_ALL = 3


@pytest.fixture
def namespaces() -> Iterator[Pair]:
    with pair() as made:
        yield made


def attached(namespaces: Pair) -> Any:
    return namespaces.within(namespaces.near, lambda: xdp_on(socket.if_nametoindex("eth0")))


def mode_of(firewall: Firewall) -> str:
    [target] = firewall.do("status")["targets"]
    return str(target["hooks"]["eth0"])


@contextlib.contextmanager
def another_program(namespaces: Pair) -> Iterator[None]:
    with Plane.create() as other:
        index = namespaces.within(namespaces.near, lambda: socket.if_nametoindex("eth0"))
        link = namespaces.within(namespaces.near, lambda: _calls.link_xdp(other.program(PROGRAM), index, 1 << 1))
        try:
            yield
        finally:
            os.close(link)


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_what_is_denied_ends_before_the_stack_and_all_else_goes_on(
    namespaces: Pair, mode: Literal["native", "generic"]
) -> None:
    firewall = Firewall(namespaces, xdp=mode)
    rules = (rule(Action.DENY, IN, port(81), port(81, UDP)), rule(Action.REJECT, IN, port(82)))
    firewall.do("apply", host(*rules))
    assert mode_of(firewall) == f"tcx, XDP {mode}"
    assert attached(namespaces)[0] == mode
    try:
        assert exchange(namespaces, 80, V4) and exchange(namespaces, 80, V6)
        with namespaces.listen(82), pytest.raises(ConnectionRefusedError):
            namespaces.connect(82)
        tap = namespaces.within(
            namespaces.near, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        )
        with tap, namespaces.open(namespaces.far, V4, socket.SOCK_DGRAM) as asking:
            tap.settimeout(2)
            for _ in range(20):
                asking.sendto(b"refused", ("10.77.0.1", 81))
            asking.sendto(b"the last", ("10.77.0.1", 83))
            seen = b""
            while b"the last" not in seen:
                seen = tap.recv(2048)
                assert b"refused" not in seen
        [target] = firewall.do("status")["targets"]
        assert target["rules"][0]["packets"] == 20
        assert target["events"] + target["lost"] == sum(each["packets"] for each in target["rules"])
    finally:
        firewall.do("close")
    assert attached(namespaces) is None


def test_replies_and_open_connections_come_through(namespaces: Pair) -> None:
    firewall = Firewall(namespaces, xdp="native")
    with namespaces.listen(80) as server, namespaces.connect(80) as client, server.accept()[0] as accepted:
        firewall.do("apply", host(rule(Action.ACCEPT, IN, port(80)), rule(Action.DENY, IN, tier=Tier.BASELINE)))
        client.sendall(b"?")
        assert accepted.recv(1) == b"?"
        with namespaces.open(namespaces.far, V4) as outer:
            outer.bind(("10.77.0.2", 90))
            outer.listen()
            with namespaces.open(namespaces.near, V4) as asking:
                asking.connect(("10.77.0.2", 90))  # its answers are replies: no rule lets them in
        firewall.do("apply", host(rule(Action.DENY), rule(Action.DENY, OUT)))
        client.sendall(b"!")
        accepted.settimeout(0.3)
        with pytest.raises(TimeoutError):
            accepted.recv(1)
    firewall.do("close")


def test_where_another_program_is_ours_is_refused_and_says_so(namespaces: Pair) -> None:
    firewall = Firewall(namespaces, xdp="native")
    with another_program(namespaces):
        before = attached(namespaces)
        with pytest.raises(FirewallError, match=rf"another XDP program is on eth0 \(generic, id {before[1]}\)"):
            firewall.do("apply", host(rule(Action.DENY)))
        assert firewall.do("status")["targets"] == []
        assert attached(namespaces) == before
    firewall.do("apply", host(rule(Action.DENY)))
    ip("-n", namespaces.near, "link", "del", "eth0")
    join(namespaces)
    with another_program(namespaces):  # on a device that came again the other hooks are taken all the same
        firewall.do("tick")
        [target] = firewall.do("status")["targets"]
        assert target["hooks"]["eth0"] == "tcx"
        assert "another XDP program" in target["notEnforced"]["eth0 by XDP"]
    firewall.do("tick")
    assert mode_of(firewall) == "tcx, XDP native"
    firewall.do("close")


def test_targets_that_share_a_device_share_its_one_place(namespaces: Pair) -> None:
    firewall = Firewall(namespaces, xdp="native")
    both = [
        Target(name, RuleSet((rule(Action.DENY, IN, port(number)),)), ("eth0",))
        for name, number in (("a", 81), ("b", 82))
    ]
    firewall.do("apply", both)
    assert [each["hooks"]["eth0"] for each in firewall.do("status")["targets"]] == ["tcx, XDP native", "tcx"]
    for number in (81, 82):
        with namespaces.listen(number), pytest.raises(TimeoutError):
            namespaces.connect(number, timeout_s=0.2)
    firewall.do("apply", both[1:])
    firewall.do("tick")
    assert mode_of(firewall) == "tcx, XDP native"
    firewall.do("close")


def test_off_by_default_and_never_for_pods_nor_by_itself_on_what_is_no_card(namespaces: Pair) -> None:
    assert not wants_xdp("off", "lo", 1)
    firewall = Firewall(namespaces, xdp="auto")
    firewall.do("apply", host(rule(Action.DENY)))
    assert mode_of(firewall) == "tcx"
    firewall.do("close")
    firewall = Firewall(namespaces, xdp="native")
    pod = Target("pods", RuleSet((rule(Action.DENY),)), ("eth0",), is_pod=True, pods=(PodAt("shop/db", ()),))
    firewall.do("apply", [pod])
    assert mode_of(firewall) == "tcx"
    firewall.do("close")


@pytest.mark.parametrize("mechanism", ["tcx", "clsact"])
def test_behind_another_generic_program_packets_are_judged_as_ever(namespaces: Pair, mechanism: Any) -> None:
    """The kernel copies them there, and hands on the copy without the length of its link's header."""
    firewall = Firewall(namespaces, force=mechanism)
    firewall.do("apply", host(rule(Action.DENY, IN, port(81)), rule(Action.REJECT, IN, port(82))))
    with another_program(namespaces):
        for family in (V4, V6):
            assert exchange(namespaces, 80, family)
            with namespaces.listen(81, family), pytest.raises(TimeoutError):
                namespaces.connect(81, family, timeout_s=0.3)
            with namespaces.listen(82, family), pytest.raises(ConnectionRefusedError):
                namespaces.connect(82, family)
    firewall.do("close")


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "bpf"
    made.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(made)], check=True)
    yield made
    subprocess.run(["umount", str(made)], check=True)


def test_a_new_process_takes_over_what_was_pinned(namespaces: Pair, bpffs: Path) -> None:
    options: dict[str, Any] = {"xdp": "native", "fail_mode": "closed", "pins": bpffs / "pins"}
    first, second = Firewall(namespaces, **options), Firewall(namespaces, **options)
    rules = host(rule(Action.DENY, IN, port(81)))
    first.do("apply", rules)
    first.do("close")
    assert attached(namespaces)[0] == "native"
    assert second.do("take_over", rules) == 1
    assert mode_of(second) == "tcx, XDP native"
    second.do("remove")
    deadline = time.monotonic() + 60
    while attached(namespaces) is not None and time.monotonic() < deadline:
        time.sleep(0.02)  # the kernel lets go of a link some time after its last reference
    assert attached(namespaces) is None


def test_enforcer_says_how_it_was_asked() -> None:
    assert Enforcer(xdp="auto").status()["xdp"] == "auto"
