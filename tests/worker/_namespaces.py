"""A network of its own: a hub's namespace with a bridge, and one for each node, tied to it by a cable."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

CLONE_NEWNET = 0x4000_0000
HUB_ADDRESS = "10.213.7.254"

T = TypeVar("T")


def ip(*arguments: str, check: bool = True) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr}")


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be in a namespace with this thread, and with what it starts, until the end of the block."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        yield
    finally:
        assert libc.setns(before, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        os.close(there)
        os.close(before)


class Network:
    """Nodes are called node-1, node-2, … and have the addresses 10.213.7.1, 10.213.7.2, …"""

    def __init__(self, nodes: int) -> None:
        self._mark = f"ks{os.getpid() % 100_000}"
        self.hub = f"{self._mark}hub"
        self.nodes = {f"node-{number}": f"{self._mark}n{number}" for number in range(1, nodes + 1)}

    def address(self, node: str) -> str:
        return f"10.213.7.{node.rpartition('-')[2]}"

    def lay(self) -> None:
        ip("netns", "add", self.hub)
        ip("-n", self.hub, "link", "set", "lo", "up")
        ip("-n", self.hub, "link", "add", "br0", "type", "bridge")
        ip("-n", self.hub, "addr", "add", f"{HUB_ADDRESS}/24", "dev", "br0")
        ip("-n", self.hub, "link", "set", "br0", "up")
        for node, namespace in self.nodes.items():
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", self.hub, "link", "add", node, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            ip("-n", self.hub, "link", "set", node, "master", "br0", "up")
            ip("-n", namespace, "addr", "add", f"{self.address(node)}/24", "dev", "eth0")
            ip("-n", namespace, "link", "set", "eth0", "up")

    def cut(self, node: str) -> None:
        ip("-n", self.hub, "link", "set", node, "down")

    def mend(self, node: str) -> None:
        ip("-n", self.hub, "link", "set", node, "up")

    def clear(self) -> None:
        for namespace in (self.hub, *self.nodes.values()):
            ip("netns", "del", namespace, check=False)

    def from_hub(self, do: Callable[[], T]) -> T:
        """Do something, and whatever threads it starts, in the hub's namespace."""
        done: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                with inside(self.hub):
                    done.append(do())
            except BaseException as error:  # noqa: BLE001 - the test's thread raises it
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(100)
        assert not thread.is_alive(), "it did not end"
        if failed:
            raise failed[0]
        return done[0]


@contextmanager
def network(nodes: int) -> Iterator[Network]:
    """Lay a network, or skip where that cannot be done."""
    if shutil.which("ip") is None:
        pytest.skip("ip is not installed: apt-get install iproute2")
    if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("network namespaces need root: run the suite as root")
    made = Network(nodes)
    made.clear()
    try:
        made.lay()
        yield made
    finally:
        made.clear()
