"""Four nodes that capture, watched live by a hub: one is cut off, is named, and tells what it saw when it is back."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kubeshark.pipeline import Entry, Pipeline
from tests.pipeline.reading.test_twins import ID
from tests.worker._cluster import Pki, Process
from tests.worker._namespaces import Network, network

SAY = """
import socket, sys
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.bind(("127.0.0.1", int(sys.argv[1])))
out.sendto(b"said", ("127.0.0.1", 5353))
"""


class Watched:
    """Nodes whose loopback is captured, so that it goes on whatever becomes of their cables; and who watches them."""

    def __init__(self, net: Network, folder: Path, stack: ExitStack) -> None:
        self.net = net
        pki = Pki(folder / "pki", *(net.address(node) for node in net.nodes))
        given = ("-i", "lo", "--filter", "udp port 5353", "--recipient", str(ID.recipient))
        for node, namespace in net.nodes.items():
            address = net.address(node)
            worker = Process(
                folder / node,
                pki.folder / address,
                home=folder / "nobody",
                listen=f"{address}:8898",
                options=(*given, "--node", node),
            )
            worker.prefix = ("ip", "netns", "exec", namespace)
            worker.start()
            stack.callback(worker.stop)
        urls = [f"https://{net.address(node)}:8898" for node in net.nodes]
        self.pipeline = stack.enter_context(
            Pipeline.open(folder / "own", identities=[ID], workers=urls, tls=pki.files("hub"))
        )
        self.told: list[tuple[str, int]] = []  # the datagram, and later the connection
        self.ids: list[str] = []
        self.follow = net.from_hub(lambda: self.pipeline.follow("dst.port == 5353"))
        self.watching = threading.Thread(target=lambda: net.from_hub(self._watch))
        self.watching.start()
        stack.callback(self.stop)

    def _watch(self) -> None:
        for entry in self.follow:
            self.told.append(where_and_what(entry))
            self.ids.append(entry.id)

    def stop(self) -> None:
        self.follow.stop()
        self.watching.join(30)

    def say(self, node: str, port: int) -> None:
        command = ["ip", "netns", "exec", self.net.nodes[node], sys.executable, "-c", SAY, str(port)]
        subprocess.run(command, check=True)

    def has(self, *wanted: tuple[str, int]) -> bool:
        return set(wanted) <= set(self.told)

    def until(self, is_so: Callable[[], bool]) -> None:
        ends = time.monotonic() + 90
        while not is_so():
            assert time.monotonic() < ends, (self.told, list(map(str, self.follow.problems)))
            time.sleep(0.05)


def where_and_what(entry: Entry) -> tuple[str, int]:
    return str(entry.get("worker")), entry.src.port


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with ExitStack() as stack:
        yield Watched(stack.enter_context(network(4)), tmp_path, stack)


def test_one_of_four_is_cut_off_and_comes_back(watched: Watched) -> None:
    nodes = [*watched.net.nodes]
    port = 20_000

    def all_speak(speaking: list[str], telling: list[str]) -> None:
        nonlocal port
        port += 1
        for node in speaking:
            watched.say(node, port)
        watched.until(lambda: watched.has(*((node, port) for node in telling)))

    begins = time.monotonic() + 90
    while {node for node, _ in watched.told} != set(nodes):  # until all of them capture
        port += 1
        for node in nodes:
            watched.say(node, port)
        assert time.monotonic() < begins
        time.sleep(0.5)
    watched.net.cut("node-3")
    rest = [node for node in nodes if node != "node-3"]
    for _ in range(3):
        all_speak(nodes, rest)
    assert [str(each) for each in watched.follow.problems if "10.213.7.3" in str(each)]
    cut_off = {("node-3", each) for each in range(port - 2, port + 1)}
    assert not cut_off & set(watched.told)
    watched.net.mend("node-3")
    watched.until(lambda: watched.has(*cut_off))
    all_speak(nodes, nodes)
    watched.stop()
    assert len(set(watched.ids)) == len(watched.ids)
    queried = watched.net.from_hub(lambda: {entry.id for entry in watched.pipeline.query("dst.port == 5353")})
    assert set(watched.ids) <= queried
