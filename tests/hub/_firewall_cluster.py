"""Nodes in namespaces of their own, each with a worker that enforces and two pods behind veths; and a hub."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kubeshark.core_capture.store import Store
from tests.hub._serving import Hub
from tests.worker._cluster import Pki, Process
from tests.worker._namespaces import CLONE_NEWNET, Network, ip, network

WITHIN_S = 60
"""A busy machine is slow: how long is waited for what takes a moment."""


def enter(namespace: str, do: Callable[[], Any]) -> Any:
    """Call in a namespace, in a child: what it returns comes back as JSON."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            import ctypes

            fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
            assert ctypes.CDLL(None).setns(fd, CLONE_NEWNET) == 0
            os.write(write, json.dumps(do()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said)


class Pods:
    """On each node `web` (listens on 80 and 81) and `client`: 10.9.N.10 and 10.9.N.20, a route to each veth."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.namespaces: dict[str, str] = {}
        self._servers: list[subprocess.Popen[bytes]] = []

    def address(self, node: str, pod: str) -> str:
        return f"10.9.{node.rpartition('-')[2]}.{10 if pod == 'web' else 20}"

    def lay(self) -> None:
        for node, host in self.net.nodes.items():
            ip("netns", "exec", host, "sysctl", "-qw", "net.ipv4.ip_forward=1")
            for pod in ("web", "client"):
                self.add(node, pod)

    def add(self, node: str, pod: str) -> None:
        host, name = self.net.nodes[node], f"{self.net.nodes[node]}{pod[0]}"
        address = self.address(node, pod)
        ip("netns", "add", name)
        self.namespaces[f"{node}/{pod}"] = name
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", host, "link", "add", f"veth-{pod}", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("-n", host, "link", "set", f"veth-{pod}", "up")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "addr", "add", f"{address}/32", "dev", "eth0")
        ip("-n", name, "route", "add", "169.254.1.1", "dev", "eth0")
        ip("-n", name, "route", "add", "default", "via", "169.254.1.1", "dev", "eth0")
        ip("-n", host, "addr", "add", "169.254.1.1/32", "dev", f"veth-{pod}")
        ip("-n", host, "route", "add", f"{address}/32", "dev", f"veth-{pod}")
        if pod == "web":
            serve = (
                "import socket,selectors\nselector=selectors.DefaultSelector()\n"
                "for port in (80,81):\n"
                " s=socket.socket(); s.setsockopt(1,2,1); s.bind(('',port)); s.listen(64); selector.register(s,1)\n"
                "while True:\n for key,_ in selector.select(): key.fileobj.accept()[0].close()\n"
            )
            self._servers.append(subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-c", serve]))

    def clear(self) -> None:
        for server in self._servers:
            server.kill()
            server.wait()
        for name in self.namespaces.values():
            ip("netns", "del", name, check=False)

    def reaches(self, node: str, port: int) -> str:
        """Return how a connection of the node's client to its web server fares: open, silent or refused."""
        address = self.address(node, "web")

        def connect() -> str:
            with socket.socket() as made:
                made.settimeout(0.4)
                try:
                    made.connect((address, port))
                except TimeoutError:
                    return "silent"
                except OSError:
                    return "refused"
                return "open"

        return str(enter(self.namespaces[f"{node}/client"], connect))

    def inventory(self, **labels: str) -> dict[str, Any]:
        """Return who has which address; `labels`: the app of a pod, as node_1="other"."""
        return {
            "namespaces": [{"name": "shop"}],
            "pods": [
                {
                    "name": f"{pod}-{node}",
                    "namespace": "shop",
                    "labels": {"app": labels.get(node.replace("-", "_"), pod) if pod == "web" else pod},
                    "addresses": [self.address(node, pod)],
                    "node": node,
                }
                for node in self.net.nodes
                for pod in ("web", "client")
            ],
        }


class Cluster:
    def __init__(self, net: Network, folder: Path, stack: ExitStack, options: tuple[str, ...]) -> None:
        self.net, self.folder = net, folder
        self.pods = Pods(net)
        stack.callback(self.pods.clear)
        self.pods.lay()
        self.pki = Pki(folder / "pki", *(net.address(node) for node in net.nodes))
        self.workers: dict[str, Process] = {}
        for node in net.nodes:
            Store.open(folder / node / "store", identities=(), create=True)
            worker = self._worker(node, options)
            worker.start()
            stack.callback(worker.stop)
            self.workers[node] = worker
        self.inventory_file = folder / "inventory.json"
        self.say(self.pods.inventory())

    def _worker(self, node: str, options: tuple[str, ...]) -> Process:
        address = self.net.address(node)
        worker = Process(
            self.folder / node / "store",
            self.pki.folder / address,
            home=self.folder / "nobody",
            listen=f"{address}:8898",
            options=("--node", node, "--firewall", str(self.folder / node / "firewall"), *options),
        )
        worker.environment = {"KUBESHARK_BPFFS": str(self.folder / "bpf")}
        worker.prefix = ("ip", "netns", "exec", self.net.nodes[node])
        return worker

    def say(self, inventory: dict[str, Any]) -> None:
        unfinished = self.inventory_file.with_suffix(".new")
        unfinished.write_text(json.dumps(inventory))
        unfinished.replace(self.inventory_file)

    @contextmanager
    def hub(self) -> Iterator[Hub]:
        """Serve in the hub's namespace; its REST is reached by the address of that."""
        urls = [each for node in self.net.nodes for each in ("--worker", f"https://{self.net.address(node)}:8898")]
        command = ["ip", "netns", "exec", self.net.hub, sys.executable, "-m", "kubeshark", "serve", *urls]
        command += ["--tls", str(self.pki.folder / "hub"), "--store", str(self.folder / "own"), "--port", "0"]
        command += ["--inventory", str(self.inventory_file), "--no-browser"]
        environment = {"HOME": str(self.folder / "hub"), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found
            try:
                yield InNamespace(self.net.hub, found.group(), self.folder / "own", self.folder / "hub")
            finally:
                process.terminate()

    def until(self, node: str, port: int, state: str) -> float:
        """Wait until a connection fares so; return the seconds it took."""
        began = time.monotonic()
        while (seen := self.pods.reaches(node, port)) != state:
            assert time.monotonic() < began + WITHIN_S, f"{node}: port {port} is {seen}, not {state}"
            time.sleep(0.05)
        return time.monotonic() - began


class InNamespace(Hub):
    """A hub that only its namespace reaches."""

    def __init__(self, namespace: str, url: str, store: Path, home: Path) -> None:
        super().__init__(url, store, home)
        self.namespace = namespace

    def firewall(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> tuple[int, Any]:
        def do() -> list[Any]:
            answer = self.ask(method, f"/api/v1/firewall/{path}", body, token=token)
            return [answer.status, json.loads(answer.body) if answer.body else None]

        status, document = enter(self.namespace, do)
        return int(status), document

    def states(self) -> dict[str, str]:
        return {node["node"]: node["state"] for node in self.firewall("GET", "status")[1]["nodes"]}

    def until_states(self, **wanted: str) -> None:
        expected = {name.replace("_", "-"): state for name, state in wanted.items()}
        began = time.monotonic()
        while (seen := self.states()) != expected:
            assert time.monotonic() < began + WITHIN_S, f"{seen}, not {expected}"
            time.sleep(0.1)


@contextmanager
def cluster(folder: Path, nodes: int, *options: str) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack.enter_context(network(nodes)), folder, stack, options)
