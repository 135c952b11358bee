"""Rules that name names, on a real machine in a namespace, with a real DNS server and real connections."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeshark.firewall.names._name_follower import SAVE_S
from tests.firewall._dns_server import DnsServer, add_addresses, dns_server, resolv_conf
from tests.firewall._namespaces import pair
from tests.firewall._privileged import needs_namespaces
from tests.firewall.enforcement.test_agent import Machine

pytestmark = needs_namespaces

POLICY = """apiVersion: kubeshark.io/v1
kind: FirewallPolicy
metadata: {name: updates}
spec:
  tier: Admin
  priority: 100
  mode: Enforce
  subject: {interfaces: [eth0]}
  egress:
    - name: dns
      action: Accept
      to: [{networks: [10.77.0.2/32]}]
      protocols: [{udp: {destinationPort: {number: 53}}}]
    - {name: updates, action: Accept, to: [{domainNames: [exact.test, "*.cdn.test"]}]}
    - {name: rest, action: Deny, to: [{networks: ["0.0.0.0/0", "::/0"]}]}
"""
WITHIN_S = 60


class Named(Machine):
    """The machine is `near`; `far` is 10.77.0.2, the resolver, and 10.77.0.11 to 13, where port 80 listens."""

    def reaches(self, address: str) -> bool:
        made = self.namespaces.open(self.namespaces.near)
        with made:
            made.settimeout(0.3)
            try:
                made.connect((address, 80))
            except (TimeoutError, OSError):
                return False
        return True

    def wait(self, address: str, *, reached: bool) -> None:
        end = time.monotonic() + WITHIN_S
        while self.reaches(address) != reached:
            assert time.monotonic() < end, f"{address}: {not reached}; {self.names()}"

    def names(self) -> dict[str, Any]:
        [target] = self.status()["targets"]
        return {row.pop("name"): row for row in target["names"]}

    def look_up(self, name: str, server: str = "10.77.0.2") -> None:
        """Ask as a program of the machine does."""
        ask = (
            "import socket,sys,struct\n"
            "name=b''.join(bytes([len(x)])+x.encode() for x in sys.argv[1].split('.'))+b'\\0'\n"
            "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(2)\n"
            "s.sendto(struct.pack('!6H',4711,256,1,0,0,0)+name+struct.pack('!HH',1,1),(sys.argv[2],53))\n"
            "s.recv(512)\n"
        )
        command = ["ip", "netns", "exec", self.namespaces.near, sys.executable, "-c", ask, name, server]
        subprocess.run(command, check=True, timeout=20)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[tuple[Named, DnsServer]]:
    bpffs = tmp_path / "bpf"
    bpffs.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(bpffs)], check=True)
    names = {"exact.test": ["10.77.0.11"], "a.cdn.test": ["10.77.0.12"], "other.test": ["10.77.0.13"]}
    try:
        with pair() as namespaces, resolv_conf(namespaces.near, "10.77.0.2"):
            add_addresses(namespaces.far, *(f"10.77.0.{last}/24" for last in (11, 12, 13)))
            made = Named(namespaces, tmp_path, bpffs)
            with (
                dns_server(namespaces.far, "10.77.0.2", tmp_path, names, ttl_s=1) as server,
                namespaces.open(namespaces.far) as listener,
            ):
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("0.0.0.0", 80))
                listener.listen(64)
                yield made, server
                made.kubeshark("delete", "--all", code=-1)
    finally:
        subprocess.run(["umount", str(bpffs)], check=True)


def test_rules_follow_what_names_have(machine: tuple[Named, DnsServer]) -> None:
    made, server = machine
    policy = made.folder / "updates.yaml"
    policy.write_text(POLICY)
    assert all(made.reaches(f"10.77.0.{last}") for last in (11, 12, 13))
    made.kubeshark("apply", policy)
    assert made.reaches("10.77.0.11")  # asked for before the rule is in force
    assert not made.reaches("10.77.0.12") and not made.reaches("10.77.0.13")
    assert made.names()["exact.test"] == {"addresses": 1, "some": ["10.77.0.11"], "problem": ""}

    # what lies behind *. is known by what the machine's own programs were answered
    made.look_up("a.cdn.test")
    made.wait("10.77.0.12", reached=True)
    made.look_up("other.test")
    assert not made.reaches("10.77.0.13")
    assert "name *.cdn.test: 1 addresses: 10.77.0.12" in made.kubeshark("status")

    # a name moves: the new address within its time to live, the old one for a while more
    server.says({"exact.test": ["10.77.0.13"], "a.cdn.test": ["10.77.0.12"]})
    made.wait("10.77.0.13", reached=True)
    assert made.reaches("10.77.0.11")
    assert made.names()["exact.test"]["addresses"] == 2

    # the resolver fails: what it said last stays, and that it fails is told
    server.stop()
    end = time.monotonic() + WITHIN_S
    while not made.names()["exact.test"]["problem"]:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert made.reaches("10.77.0.13")
    assert "they stay" in made.kubeshark("status")

    # a new process goes on with what the one before knew, while nobody can be asked
    time.sleep(SAVE_S + 0.5)
    os.kill(made.status()["pid"], signal.SIGKILL)
    made.wait("10.77.0.13", reached=True)
    with made.start_again("open") as agent:
        made.wait_until_it_answers()
        assert made.reaches("10.77.0.13") and made.reaches("10.77.0.12") and made.reaches("10.77.0.11")
        agent.terminate()


def test_answers_that_nobody_asked_for_open_nothing(machine: tuple[Named, DnsServer]) -> None:
    made, _ = machine
    policy = made.folder / "updates.yaml"
    policy.write_text(POLICY.replace("[10.77.0.2/32]", "[10.77.0.0/29]"))
    add_addresses(made.namespaces.far, "10.77.0.3/24")
    made.kubeshark("apply", policy)

    # another resolver than the machine's: whoever runs it may say what he likes
    folder = made.folder / "other"
    folder.mkdir()
    with dns_server(made.namespaces.far, "10.77.0.3", folder, {"evil.cdn.test": ["10.77.0.13"]}):
        made.look_up("evil.cdn.test", "10.77.0.3")
        time.sleep(0.5)
        assert not made.reaches("10.77.0.13")
