"""The images run as the manifests say: their commands, arguments, volumes, users, capabilities and probes, from a real
API server that took them. Hub and front share a network namespace, the worker is in that of its node.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from kubeshark.cluster import Deployment, manifests, materials
from kubeshark.core_capture.store import create_identity
from kubeshark.hub.gate._gate import SECURITY_HEADERS
from tests.cluster._server import api_server, make_pod
from tests.cluster._settings import settings
from tests.images._built import Image
from tests.images._kubelet import Place, Running, pod, wait_until_ready
from tests.images._launch import CAPABILITIES
from tests.worker._namespaces import HUB_ADDRESS, inside, ip, network

pytestmark = [pytest.mark.images, pytest.mark.timeout(900)]

NAMESPACE, NODE = "shark", "node-1"
WORKLOADS = {"worker": "DaemonSet", "hub": "Deployment", "front": "Deployment"}
DNS_QUESTION = b"\x07\x07\x01\0\0\x01\0\0\0\0\0\0\x06images\x07example\0\0\x01\0\x01"


class Deployed:
    """Worker, hub and front, as ready as their probes say."""

    def __init__(self, pods: dict[str, Running], places: dict[str, Place], token: str) -> None:
        self.pods, self.places, self.token = pods, places, token

    def ask(self, name: str, path: str, *, is_known: bool = True) -> tuple[int, dict[str, str], bytes]:
        """Ask hub or front over their port."""
        port = self.pods[name].container["ports"][0]["containerPort"]
        with (
            inside(self.places[name].netns),
            closing(http.client.HTTPConnection(HUB_ADDRESS, port, timeout=100)) as end,
        ):
            end.request("GET", path, headers={"Authorization": f"Bearer {self.token}"} if is_known else {})
            answer = end.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()

    def entries(self, name: str, kfl: str) -> list[dict[str, Any]]:
        code, _, body = self.ask(name, f"/api/v1/query?{urlencode({'kfl': kfl, 'form': 'entry'})}")
        assert code == 200, body
        return [json.loads(line) for line in body.splitlines() if b'"protocol"' in line]

    def logs(self) -> str:
        return "\n".join(f"{name}: {running.said}" for name, running in self.pods.items())


@contextmanager
def deployed_in(folder: Path, images: dict[str, Image]) -> Iterator[Deployed]:
    identity = create_identity(folder / "identity.age")
    with network(1) as net, ExitStack() as stack:
        names = {"kubeshark-hub": HUB_ADDRESS, "kubeshark-worker": net.address(NODE)}
        ip("-n", net.hub, "route", "add", "default", "dev", "br0")  # an API server does not start without one
        with inside(net.hub):
            (folder / "api").mkdir()
            server = stack.enter_context(api_server(folder / "api"))
            cluster = server.open()
            chosen = settings(f"store.recipients={identity.recipient}", "store.segmentSeconds=1", namespace=NAMESPACE)
            made = materials(cluster, NAMESPACE, (folder / "identity.age").read_bytes())
            Deployment(cluster, "kubeshark", NAMESPACE, lambda _: None).apply(manifests(chosen, made, "0.1.0"))
            make_pod(cluster, "default", "resolver", HUB_ADDRESS, spec={"nodeName": NODE})
            central = Place(cluster, server, NAMESPACE, net.hub, HUB_ADDRESS, NODE, names, folder)
            on_node = Place(cluster, server, NAMESPACE, net.nodes[NODE], net.address(NODE), NODE, names, folder)
            places = {"worker": on_node, "hub": central, "front": central}
            pods = {}
            for name, kind in WORKLOADS.items():
                running = stack.enter_context(pod(places[name], kind, f"kubeshark-{name}", images[name]))
                wait_until_ready(places[name], running)
                pods[name] = running
        yield Deployed(pods, places, b64decode(made["token"]).decode())


@pytest.fixture(scope="module")
def deployed(images: dict[str, Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployed_in(tmp_path_factory.mktemp("node"), images) as found:
        yield found


def until(done: Callable[[], Any], deployed: Deployed) -> Any:
    for _ in range(300):
        if found := done():
            return found
        time.sleep(0.2)
    raise AssertionError(f"it does not come: {deployed.logs()}")


def ask_dns(deployed: Deployed) -> None:
    """Send a question over the node's cable to the pod that is called resolver."""
    with inside(deployed.places["worker"].netns), closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asks:
        asks.sendto(DNS_QUESTION, (HUB_ADDRESS, 53))


def test_what_a_node_sees_is_an_entry_at_the_front(deployed: Deployed) -> None:
    """From a cable over worker, mutual TLS, hub and front; names are those that the hub heard of the API server."""

    def seen() -> list[dict[str, Any]]:
        ask_dns(deployed)
        return deployed.entries("front", 'dns && dst.name == "resolver"')

    [entry, *_] = until(seen, deployed)
    assert "images.example" in json.dumps(entry)
    code, _, body = deployed.ask("hub", "/api/v1/workers")
    assert code == 200 and NODE in body.decode()


def test_nobody_reads_a_worker_without_the_hubs_certificate(deployed: Deployed, tmp_path: Path) -> None:
    place = deployed.places["worker"]
    [port] = deployed.pods["worker"].container["ports"]
    secret = place.folder / "kubeshark-hub" / "volumes" / "tls"
    context = ssl.create_default_context(cafile=str(secret / "ca.crt"))

    def status() -> tuple[int, bytes]:
        with (
            socket.create_connection((place.address, port["containerPort"]), 20) as plain,
            context.wrap_socket(plain, server_hostname="kubeshark-worker") as safe,
        ):
            safe.sendall(b"GET /v1/status HTTP/1.1\r\nHost: kubeshark-worker\r\nConnection: close\r\n\r\n")
            answer = http.client.HTTPResponse(safe)
            answer.begin()
            return answer.status, answer.read()

    with inside(place.netns):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            status()
        context.load_cert_chain(secret / "tls.crt", secret / "tls.key")
        code, body = status()
    assert code == 200 and json.loads(body)["node"] == NODE


@pytest.mark.parametrize("name", ["hub", "front"])
def test_the_page_is_served_whole_and_guarded(deployed: Deployed, name: str) -> None:
    code, headers, page = deployed.ask(name, "/")
    assert code == 200 and headers["content-security-policy"] == SECURITY_HEADERS["content-security-policy"]
    # relative, for a page below a path
    assets = [f"/{path}" for path in re.findall(r'(?:src|href)="(?:\./)?(static/[^"]+)"', page.decode())]
    assert any(asset.endswith(".js") for asset in assets)
    for asset in assets:
        code, headers, content = deployed.ask(name, asset)
        assert code == 200 and content, asset
        for header in SECURITY_HEADERS.keys() - {"cache-control"}:
            assert headers[header] == SECURITY_HEADERS[header]
    assert deployed.ask(name, "/api/v1/health", is_known=False)[0] == 401
    until(lambda: json.loads(deployed.ask(name, "/api/v1/health")[2])["problems"] == [], deployed)


def test_the_hub_watches_the_cluster_with_its_account(deployed: Deployed) -> None:
    def watched() -> bool:
        code, _, body = deployed.ask("hub", "/metrics")
        found = re.findall(rb'^kubeshark_cluster_watched\{kind="(\w+)"\} (\S+)$', body, re.MULTILINE)
        return code == 200 and bool(found) and all(float(value) == 1 for _, value in found)

    until(watched, deployed)


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_process_is_who_the_manifest_says(deployed: Deployed, name: str) -> None:
    context = deployed.pods[name].container["securityContext"]
    allowed = sum(1 << CAPABILITIES[each] for each in context["capabilities"].get("add", []))
    statuses = deployed.pods[name].statuses()
    assert statuses
    for status in statuses:
        assert set(status["Uid"].split()) == {str(context["runAsUser"])}, status["Name"]
        assert status["NoNewPrivs"] == "1", status["Name"]
        for kind in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
            assert int(status[kind], 16) & ~allowed == 0, (status["Name"], kind)
    first = next(status for status in statuses if status["NSpid"].split()[-1] == "1")
    assert first["Name"] in ("kubeshark", "nginx"), "a shell between would keep SIGTERM from it"


def test_they_end_in_order_when_they_are_told_to(images: dict[str, Image], tmp_path: Path) -> None:
    """As process 1, which no signal ends that it does not heed."""
    with deployed_in(tmp_path, images) as found:

        def seen() -> list[dict[str, Any]]:
            ask_dns(found)
            return found.entries("hub", "dns")

        until(seen, found)
        for name in ("front", "hub", "worker"):
            assert found.pods[name].stop() == 0, found.logs()
    store = tmp_path / "kubeshark-worker" / "volumes" / "state" / "store"
    assert [*store.glob("*.pcap.zst.age")], "what was captured is not sealed"
