"""A worker that captures: packets of its node reach the hub, live, and the node cannot read them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kubeshark.core_capture.store import JoinedStore, Store
from kubeshark.pipeline import Pipeline
from kubeshark.settings import Duration, Schedule, Windows
from kubeshark.worker._captures import Captures
from kubeshark.worker._choosing import Choosing
from kubeshark.worker._status import Capture, Order, Status
from tests.core_capture.ebpf._tls_server import ask, needs_probes, tls_server
from tests.core_capture.live._cable import ip, own_network
from tests.pipeline.reading.test_twins import ID
from tests.worker._cluster import COMMAND, Pki, Process
from tests.worker._namespaces import Network, network
from tests.worker.test_server import memory_of


class Node:
    """One node that captures what goes over its cable, asked from the hub's side."""

    def __init__(self, net: Network, folder: Path, stack: ExitStack, *options: str) -> None:
        self.net, self.address = net, net.address("node-1")
        pki = Pki(folder / "pki", self.address)
        self.store = folder / "store"
        given = (
            "-i",
            "eth0",
            "--filter",
            "udp port 5353",
            "--recipient",
            str(ID.recipient),
            "--node",
            "node-1",
            *options,
        )
        self.worker = Process(
            self.store, pki.folder / self.address, home=folder / "nobody", listen=f"{self.address}:8898", options=given
        )
        self.worker.prefix = ("ip", "netns", "exec", net.nodes["node-1"])
        self.worker.start()
        stack.callback(self.worker.stop)
        url = f"https://{self.address}:8898"
        self.pipeline = stack.enter_context(
            Pipeline.open(folder / "own", identities=[ID], workers=[url], tls=pki.files("hub"))
        )
        assert isinstance(self.pipeline.store, JoinedStore)
        self.joined: JoinedStore = self.pipeline.store
        self.until(lambda: self.status().captures[0].state == "running")

    def status(self) -> Status:
        return self.net.from_hub(lambda: self.joined.check(self.joined.members[0], Status))

    def say(self, number: int) -> None:
        """Send a datagram from the hub's side over the node's cable."""

        def do() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                out.bind(("", 40_000 + number))
                out.sendto(b"said %d" % number, (self.address, 5353))

        self.net.from_hub(do)

    def heard(self) -> int:
        """Return how many of the connections said are found."""
        return self.net.from_hub(lambda: len({e.src.port for e in self.pipeline.query("dst.port == 5353")}))

    def until(self, is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < until
            time.sleep(0.1)

    def capturing(self) -> int:
        """Return the process that captures."""
        children = Path(f"/proc/{self.worker.process.pid}/task").glob("*/children")
        return next(int(each) for path in children for each in path.read_text().split())


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    with ExitStack() as stack:
        net = stack.enter_context(network(1))
        yield lambda *options: Node(net, tmp_path, stack, *options)


def test_what_is_not_sealed_is_found_too_and_followed(make: Callable[..., Node]) -> None:
    node = make()
    node.say(0)
    node.until(lambda: node.heard() == 1)
    assert node.joined.is_open(node.joined.segments()[0].name)
    for number in range(1, 6):
        node.say(number)
    node.until(lambda: node.heard() == 6)
    node.until(lambda: node.status().captures[0].stored == 6)  # it says so a few times a second
    said = node.status().captures[0]
    assert (said.interface, said.stored, said.dropped, said.lost, said.restarts) == ("eth0", 6, 0, 0, 0)
    assert said.excluded > 0  # what the hub asks goes over the same cable
    node.worker.stop()
    assert not list(node.store.glob("*.log.age"))  # it ended in order: everything is sealed
    with Pipeline.open(node.store, identities=[ID]) as pipeline:
        assert [info.node for info in pipeline.store.segments()] == ["node-1"]
        assert pipeline.store.segments()[0].packets == 6


def test_the_node_cannot_read_what_it_sealed(make: Callable[..., Node]) -> None:
    node = make("--segment-seconds", "1")
    for number in range(3):
        node.say(number)
        node.until(lambda: node.heard() == number + 1)  # noqa: B023 - at once
    node.until(lambda: len(list(node.store.glob("*.idx.age"))) >= 1 and not list(node.store.glob("*.log.age")))
    opened = Store.open(node.store, identities=[ID])
    keys = []
    for info in opened.segments():
        with opened.open_segment(info.name) as segment:
            keys.append(segment._index.meta.data.file_key)
    assert keys
    for pid in (node.worker.process.pid, node.capturing()):
        held = memory_of(pid)
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"kubeshark" in held
        assert ID.secret().encode() not in held
        assert b"AGE-SECRET-KEY" not in environment
        assert b"KUBESHARK_IDENTITY" not in environment
        for key in keys:
            assert bytes.fromhex(key) not in held


def test_who_serves_live_packets_cannot_read_them(make: Callable[..., Node]) -> None:
    """They are told within a moment; only the process that captures, which nobody can ask, ever has them in clear."""
    node = make()
    follow = node.net.from_hub(lambda: node.pipeline.follow("dst.port == 5353"))
    told: list[int] = []

    def look() -> bool:
        node.net.from_hub(lambda: told.extend(e.src.port for run in follow.look() for e in run))
        return bool(told)

    look()
    node.say(7)
    node.until(look)
    follow.close()
    assert told == [40_007]
    assert b"said 7" in memory_of(node.capturing())  # so memory is looked at rightly
    assert b"said 7" not in memory_of(node.worker.process.pid)
    assert ID.secret().encode() not in memory_of(node.worker.process.pid)


def test_a_capture_that_is_killed_begins_again_and_nothing_acknowledged_is_lost(make: Callable[..., Node]) -> None:
    node = make()
    for number in range(4):
        node.say(number)
    node.until(lambda: node.status().captures[0].stored == 4)
    os.kill(node.capturing(), signal.SIGKILL)
    node.until(lambda: [(each.state, each.restarts) for each in node.status().captures] == [("running", 1)])
    assert node.heard() == 4
    node.say(4)
    node.until(lambda: node.heard() == 5)
    node.until(lambda: node.status().captures[0].stored == 5)  # counted on, and said a few times a second


def test_a_worker_that_is_killed_takes_its_capture_along(make: Callable[..., Node]) -> None:
    node = make()
    node.say(0)
    node.until(lambda: node.status().captures[0].stored == 1)
    child = node.capturing()
    node.worker.kill()
    node.until(lambda: not Path(f"/proc/{child}").exists())
    node.worker.start()
    node.until(lambda: node.heard() == 1)  # its log is there
    node.until(lambda: node.status().captures[0].state == "running")
    node.say(1)
    node.until(lambda: node.heard() == 2)


@needs_probes
def test_tls_in_the_clear_reaches_the_hub(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki", "localhost")
    with tls_server(tmp_path) as (process, port):
        given = ("-i", "lo", "--filter", f"tcp port {port}", "--recipient", str(ID.recipient))
        options = (*given, "--tls-probe", f"pid:{process}")
        worker = Process(tmp_path / "store", pki.folder / "localhost", home=tmp_path / "nobody", options=options)
        with worker:
            url = f"https://localhost:{worker.port}"
            tls = pki.files("hub")
            with Pipeline.open(tmp_path / "own", identities=[ID], workers=[url], tls=tls) as pipeline:
                found = []
                until = time.monotonic() + 90
                while not found and time.monotonic() < until:
                    ask(port, 17)
                    time.sleep(1)
                    found = [entry.to_dict() for entry in pipeline.query("http && tls")]
    assert found
    assert found[0]["request"]["url"] == "17"
    assert found[0]["captureSource"] == 3
    assert found[0]["dst"]["port"] == str(port)


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Scheduled:
    """A capture on loopback by a simulated clock."""

    PORTS = (5301, 5302, 5303)

    def __init__(self, store: Path, *schedules: Schedule) -> None:
        self.store, self.clock = store, _Clock()
        self.listening = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in self.PORTS]
        for each, port in zip(self.listening, self.PORTS, strict=True):
            each.bind(("127.0.0.1", port))  # else there were answers of ICMP, which are counted too
        self.choosing = Choosing("node-1", schedules=Windows(schedules), clock=self.clock)
        Store.open(store, identities=(), create=True)
        order = Order(os.getpid(), str(store), "node-1", ["lo"], "udp", [str(ID.recipient)], 300)
        self.captures = Captures(order, lambda _: None, self.choosing)
        self.captures.start()

    @property
    def row(self) -> Capture:
        return self.captures.rows()[0]

    def until(self, is_so: Callable[[], bool]) -> None:
        ends = time.monotonic() + 120
        while not is_so():
            assert time.monotonic() < ends, self.row
            time.sleep(0.05)

    def at(self, hour: int, *, is_open: bool) -> None:
        """Send from port 41000 + hour, once the capture is seen to have taken the choice of that time."""
        self.clock.now = hour * 3600.0
        self.choosing.wake()
        probe = 40_000 + hour
        self.until(lambda: self.is_stored(probe) if is_open else self.is_left_out(probe))
        self.say(41_000 + hour)

    def is_stored(self, probe: int) -> bool:
        """Say something; return whether that or what was said before is there as what the schedules of now want."""
        self.say(probe)
        wanted = self.choosing.now().scheduled
        store = Store.open(self.store, identities=[ID])
        for info in store.segments():
            if info.scheduled == wanted:
                with store.open_segment(info.name) as segment:
                    if any(probe in (flow["port_a"], flow["port_b"]) for flow in segment.flows):
                        return True
        return False

    def is_left_out(self, probe: int) -> bool:
        """Say something, and wait until all of it is counted; return whether nothing was kept."""
        before = self.row
        self.say(probe)
        self.until(lambda: _seen(self.row) >= _seen(before) + len(self.PORTS))
        return self.row.received == before.received

    def stop(self) -> None:
        self.captures.stop()
        for each in self.listening:
            each.close()

    def say(self, source: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.bind(("", source))
            for port in self.PORTS:
                out.sendto(b"said", ("127.0.0.1", port))


def _seen(row: Capture) -> int:
    return row.received + row.excluded


def test_packets_are_kept_in_windows_of_schedules_alone(tmp_path: Path) -> None:
    """Two windows, the first of them with a filter of its own; the capture dies in between."""
    first = Schedule(name="one", cron="0 0 1 * * *", duration=Duration("1h"), filter="port 5301")
    second = Schedule(name="all", cron="0 0 3 * * *", duration=Duration("1h"))
    with own_network():
        ip("link set lo up")
        scheduled = Scheduled(tmp_path / "store", first, second)
        try:
            scheduled.until(lambda: scheduled.row.state == "running")
            scheduled.at(0, is_open=False)
            scheduled.at(1, is_open=True)
            chosen = scheduled.row.chosen
            assert chosen is not None and (chosen.schedules, chosen.until) == (["one"], 7200.0)
            scheduled.at(2, is_open=False)
            scheduled.until(lambda: scheduled.row.stored == scheduled.row.received)  # else the kill may cost it
            process = scheduled.captures._process
            assert process is not None
            process.kill()
            scheduled.until(lambda: (scheduled.row.restarts, scheduled.row.state) == (1, "running"))
            scheduled.at(3, is_open=True)
            scheduled.at(4, is_open=False)
        finally:
            scheduled.stop()
    with Pipeline.open(tmp_path / "store", identities=[ID]) as pipeline:
        found = {(each.src.port - 41_000, each.dst.port) for each in pipeline.query("src.port >= 41000")}
    assert found == {(1, 5301), *((3, port) for port in Scheduled.PORTS)}


def test_who_may_read_must_be_said(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "worker", "-i", "lo", "--store", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "a worker holds no identity, so it must be told who may read: give --recipient" in done.stderr
