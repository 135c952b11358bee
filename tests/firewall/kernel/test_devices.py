"""Which device leads to a pod: a route to its veth, a bridge's port, or none of ours."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from kubeshark.firewall.kernel._devices import (
    all_devices,
    is_card,
    is_ethernet,
    outer_devices,
    own_addresses,
    pod_device,
    xdp_on,
)
from tests.firewall._namespaces import Pair, ip, pair
from tests.firewall._privileged import needs_namespaces

pytestmark = needs_namespaces


@pytest.fixture
def namespaces() -> Iterator[Pair]:
    with pair() as made:
        yield made


def test_own_addresses_and_outer_devices(namespaces: Pair) -> None:
    assert {"10.77.0.1", "fd77::1"} <= {
        str(each) for each in namespaces.within(namespaces.near, lambda: [*own_addresses()])
    }
    assert namespaces.within(namespaces.near, outer_devices) == []
    ip("-n", namespaces.near, "route", "add", "default", "via", "10.77.0.2")
    assert namespaces.within(namespaces.near, outer_devices) == ["eth0"]
    assert set(namespaces.within(namespaces.near, all_devices)) >= {"lo", "eth0"}


def test_a_route_straight_to_it(namespaces: Pair) -> None:
    def found(address: str) -> str | None:
        return namespaces.within(namespaces.near, lambda: pod_device(address))

    assert found("10.77.0.9") == "eth0" and found("fd77::9") == "eth0"
    assert found("10.1.2.3") is None
    ip("-n", namespaces.near, "route", "add", "10.1.0.0/16", "via", "10.77.0.2")
    assert found("10.1.2.3") is None  # behind a gateway: it is on another node
    assert found("10.77.0.1") is None  # this machine itself


def test_the_port_of_a_bridge(namespaces: Pair) -> None:
    near, far = namespaces.near, namespaces.far
    ip("-n", near, "link", "del", "eth0")
    ip("-n", near, "link", "add", "cni0", "type", "bridge")
    ip("-n", near, "addr", "add", "10.88.0.1/24", "dev", "cni0")
    ip("-n", near, "link", "set", "cni0", "up")
    ip("-n", near, "link", "add", "vethpod", "type", "veth", "peer", "name", "eth0", "netns", far)
    ip("-n", near, "link", "set", "vethpod", "master", "cni0", "up")
    ip("-n", far, "addr", "add", "10.88.0.2/24", "dev", "eth0")
    ip("-n", far, "link", "set", "eth0", "up")
    with namespaces.open(near, kind=socket.SOCK_DGRAM) as speaks:
        deadline = time.monotonic() + 60
        while namespaces.within(near, lambda: pod_device("10.88.0.2")) != "vethpod":
            assert time.monotonic() < deadline
            speaks.sendto(b"who has it?", ("10.88.0.2", 9))
            time.sleep(0.05)
    assert namespaces.within(near, lambda: pod_device("10.88.0.3")) is None


def test_what_is_a_card_and_what_carries_frames() -> None:
    assert not is_card(socket.if_nametoindex("lo"))
    assert is_ethernet("lo")
    assert xdp_on(socket.if_nametoindex("lo")) is None
