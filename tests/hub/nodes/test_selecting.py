"""Which pods are captured: a real API server, a hub, a worker in a node's namespace, and pods behind veths."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kubeshark.cluster._client import KINDS
from kubeshark.core_capture.store import JoinedStore
from kubeshark.hub.nodes._pods import GRACE_S
from kubeshark.pipeline import Pipeline
from kubeshark.worker._status import Chosen, Status
from tests.cluster._hearing import wait_until
from tests.cluster._server import api_server, make, make_pod, set_status
from tests.hub._firewall_cluster import Pods
from tests.hub._serving import Hub, serving
from tests.pipeline.reading.test_twins import ID
from tests.worker._cluster import Pki, Process
from tests.worker._namespaces import HUB_ADDRESS, Network, inside, ip, network

PORT = 5300
NODE = "node-1"


class Lab:
    """One node with pods, in whose hub's namespace the test runs."""

    def __init__(self, net: Network, folder: Path, stack: ExitStack) -> None:
        self.net, self.folder = net, folder
        self.pods = Pods(net)
        stack.callback(self.pods.clear)
        self.pods.lay()
        self.numbers: dict[str, int] = {}
        address = net.address(NODE)
        self.url = f"https://{address}:8898"
        self.pki = Pki(folder / "pki", address)
        self.worker = Process(
            folder / "store",
            self.pki.folder / address,
            home=folder / "nobody",
            listen=f"{address}:8898",
            options=(
                *("-i", "any", "--hub-selects", "--node", NODE, "--recipient", str(ID.recipient)),
                *("--filter", f"udp port {PORT}"),
            ),
        )
        self.worker.prefix = ("ip", "netns", "exec", net.nodes[NODE])
        self.worker.start()
        stack.callback(self.worker.stop)
        self.pipeline = stack.enter_context(
            Pipeline.open(folder / "own", identities=[ID], workers=[self.url], tls=self.pki.files("hub"))
        )
        wait_until(lambda: self.status().captures[0].state == "running")

    def status(self) -> Status:
        joined = self.pipeline.store
        assert isinstance(joined, JoinedStore)
        return joined.check(joined.members[0], Status)

    def chosen(self) -> Chosen:
        found = self.status().captures[0].chosen
        assert found is not None
        return found

    def say(self, pod: str, count: int = 5) -> None:
        """Have a pod send datagrams out of its node, each from a port of its own."""
        first = self.numbers.get(pod, 0)
        self.numbers[pod] = first + count
        source = self.pods.namespaces[f"{NODE}/{pod}"]
        with inside(source):
            for number in range(first, first + count):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                    out.bind(("", 40_000 + number))
                    out.sendto(b"said", (HUB_ADDRESS, PORT))

    def heard(self, pod: str) -> list[int]:
        """Return which datagrams of a pod were captured."""
        address = self.pods.address(NODE, pod)
        entries = self.pipeline.query(f'src.ip == "{address}" && dst.port == {PORT}')
        return sorted({each.src.port - 40_000 for each in entries})

    def hub(self, root: Path, kubeconfig: Path, *options: str) -> Any:
        given = ("--kube", "--worker", self.url, "--tls", str(self.pki.folder / "hub"), "--no-browser", *options)
        home = self.folder / "hub"
        home.mkdir(exist_ok=True)
        return serving(self.folder / "served", root, home, options=given, KUBECONFIG=str(kubeconfig))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as stack:
        net = stack.enter_context(network(1))
        ip("-n", net.hub, "route", "add", "default", "dev", "br0")  # an API server does not start without
        stack.enter_context(inside(net.hub))
        yield Lab(net, tmp_path, stack)


def until_heard(lab: Lab, pod: str, expected: list[int], do: Callable[[], object] = lambda: None) -> None:
    def is_so() -> bool:
        do()
        return set(expected) <= set(lab.heard(pod))

    wait_until(is_so)


def until_caught(lab: Lab, pod: str) -> None:
    """The status is a moment ahead of the kernel: send until something is captured."""
    before = lab.numbers.get(pod, 0)

    def is_so() -> bool:
        lab.say(pod, 1)
        return max(lab.heard(pod), default=-1) >= before

    wait_until(is_so)


def test_only_selected_pods_are_captured_as_they_come_and_go(lab: Lab, root: Path, tmp_path: Path) -> None:
    lab.say("web")
    assert lab.chosen().why == "no hub has named pods yet"  # and so nothing is captured
    api_folder = tmp_path / "api"
    api_folder.mkdir()
    with api_server(api_folder) as api:
        cluster = api.open()
        make(cluster, "Namespace", "shop")
        make_pod(cluster, "shop", "web", lab.pods.address(NODE, "web"), spec={"nodeName": NODE})
        make_pod(cluster, "shop", "client", lab.pods.address(NODE, "client"), spec={"nodeName": NODE})
        make_pod(cluster, "shop", "web-elsewhere", "10.9.2.10", spec={"nodeName": "node-2"})
        make_pod(cluster, "shop", "web-host", lab.net.address(NODE), spec={"nodeName": NODE, "hostNetwork": True})
        with lab.hub(root, api.kubeconfig(), "--set", "tap.regex=^web") as hub:
            wait_until(lambda: lab.chosen().pods == 1)
            assert lab.chosen() == Chosen("", pods=1, addresses=1, sharing=1)
            told(hub, pods=1)
            until_caught(lab, "web")
            first = lab.numbers["web"]
            lab.say("client")
            lab.say("web")
            until_heard(lab, "web", list(range(first, first + 5)))
            assert min(lab.heard("web")) >= 5  # what it said before is not there
            assert lab.heard("client") == []

            # the client becomes a selected pod's: it is caught, and the other loses nothing
            cluster.ask("DELETE", KINDS["Pod"].path("shop", "client"), query={"gracePeriodSeconds": "0"})
            make_pod(cluster, "shop", "web-2", spec={"nodeName": NODE})
            wait_until(lambda: lab.chosen().waiting == 1)
            address = lab.pods.address(NODE, "client")
            set_status(cluster, "Pod", "shop", "web-2", phase="Running", podIP=address, podIPs=[{"ip": address}])
            ends, since = time.monotonic() + 90, lab.numbers["web"]
            while lab.chosen().pods != 2:
                lab.say("web", 1)
                assert time.monotonic() < ends
            until_caught(lab, "client")
            first = lab.numbers["client"]
            lab.say("client")
            until_heard(lab, "client", list(range(first, first + 5)))
            until_heard(lab, "web", list(range(since, lab.numbers["web"])))

            # it goes: a while longer its packets are captured, then not
            cluster.ask("DELETE", KINDS["Pod"].path("shop", "web-2"), query={"gracePeriodSeconds": "0"})
            wait_until(lambda: lab.chosen().pods == 1)
            assert lab.chosen().addresses == 2
            wait_until(lambda: lab.chosen().addresses == 1, GRACE_S + 90)
            wait_until(lambda: is_left_out(lab, "client"))  # the status is a moment ahead of the kernel

            # nobody is left: nothing is captured, and it is said
            cluster.ask("DELETE", KINDS["Pod"].path("shop", "web"), query={"gracePeriodSeconds": "0"})
            wait_until(lambda: lab.chosen().why == "no pod on this node is selected", GRACE_S + 90)
            told(hub, why="no pod on this node is selected")
        [row] = lab.status().captures
        assert (row.dropped, row.lost, row.restarts) == (0, 0, 0)


def is_left_out(lab: Lab, pod: str) -> bool:
    """Say whether nothing of a pod was captured, of what it sent while the other was heard."""
    before, last = lab.numbers[pod], lab.numbers["web"]
    lab.say(pod)
    lab.say("web")
    until_heard(lab, "web", list(range(last, last + 5)))
    return max(lab.heard(pod)) < before


def told(hub: Hub, **expected: Any) -> None:
    """The hub's list of workers says so, too."""

    def is_so() -> bool:
        [row] = hub.json("/api/v1/workers")
        return bool(row["captures"]) and expected.items() <= (row["captures"][0]["chosen"] or {}).items()

    wait_until(is_so)
