"""Interfaces as the kernel has them, in this namespace."""

from __future__ import annotations

import json
import subprocess

import pytest

from kubeshark.core_capture.live import list_interfaces
from kubeshark.core_capture.live._interfaces import is_up, look_up
from kubeshark.errors import UsageError
from tests.core_capture.live._cable import FAR, NEAR, Sender, ip


def test_they_are_those_of_ip(sender: Sender) -> None:
    ip(f"addr add 10.9.8.7/24 dev {FAR}")
    ip("tuntap add tun3 mode tun")
    done = subprocess.run(["ip", "-j", "addr"], capture_output=True, text=True, check=True)
    theirs = {
        row["ifname"]: (row["ifindex"], "UP" in row["flags"], row["mtu"], [a["local"] for a in row["addr_info"]])
        for row in json.loads(done.stdout)
    }
    *ours, any_interface = list_interfaces()
    assert {one.name: (one.index, one.is_up, one.mtu, list(one.addresses)) for one in ours} == theirs
    assert {one.name: one.link_type for one in ours} == {"lo": 1, NEAR: 1, FAR: 1, "tun3": 101}
    assert [one.name for one in ours if one.is_loopback] == ["lo"]
    assert (any_interface.name, any_interface.link_type) == ("any", 276)


def test_up_down_and_gone(sender: Sender) -> None:
    assert is_up(FAR) == look_up(FAR).index
    ip(f"link set {FAR} down")
    assert is_up(FAR) == 0
    ip(f"link del {FAR}")
    assert is_up(FAR) == 0
    with pytest.raises(UsageError, match="there are lo and any"):
        look_up(FAR)
