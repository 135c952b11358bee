"""TLS from end to end: a server by libssl, a worker that probes it, and what a hub answers, stored and live."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubeshark._certificates import issue
from kubeshark.core_capture.store import create_identity, load_identities
from tests.core_capture.ebpf._tls_server import REQUEST, ask, needs_probes, tls_server
from tests.hub._serving import Hub, ask_socket, serving_workers
from tests.worker._cluster import Process

pytestmark = needs_probes


@dataclass(frozen=True)
class Lab:
    """A hub, its one worker, and the port of the TLS server that is probed there."""

    hub: Hub
    worker: Process
    port: int
    folder: Path

    def query(self, kfl: str) -> list[dict[str, Any]]:
        answer = self.hub.get(f"/api/v1/query?kfl={kfl.replace(' ', '%20').replace('&', '%26')}")
        assert answer.status == 200
        found = [json.loads(line) for line in answer.body.splitlines()]
        assert not [each for each in found if "problem" in each]
        return found

    def until_probed(self) -> dict[str, Any]:
        """Ask until an entry is there: the worker says that it captures, not that its probes are placed."""
        ends = time.monotonic() + 60
        while not (found := self.query("http && tls")):
            assert time.monotonic() < ends, "nothing arrived"
            ask(self.port, 17)
            time.sleep(0.3)
        return found[0]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    identity = tmp_path / "hub/.kubeshark/identity.age"
    create_identity(identity)
    issue(tmp_path / "pki", ["localhost"])
    with tls_server(tmp_path) as (process, port):
        options = (
            *("-i", "lo", "--filter", f"tcp port {port}", "--tls-probe", f"pid:{process}"),
            *("--node", "node-1", "--recipient", str(load_identities(identity)[0].recipient)),
        )
        worker = Process(tmp_path / "store", tmp_path / "pki/localhost", home=tmp_path / "nobody", options=options)
        with worker, serving_workers(tmp_path, [f"https://localhost:{worker.port}"]) as hub:
            yield Lab(hub, worker, port, tmp_path)


def test_plain_text_is_an_entry_at_the_hub(lab: Lab) -> None:
    entry = lab.until_probed()
    assert (entry["method"], entry["summary"], entry["status"]) == ("GET", "17", 200)
    assert (entry["tls"], entry["capture"]["source"], entry["dst"]["port"]) == (True, "ebpf_tls", str(lab.port))
    base = f"/api/v1/entries/{entry['id']}"
    assert lab.hub.get(f"{base}/raw?half=request").body == REQUEST % 17
    assert lab.hub.get(f"{base}/raw?half=response").body.endswith(b"\r\n\r\n" + b"x" * 17)
    wire = [each for each in lab.query(f"dst.port == {lab.port}") if each["capture"]["source"] != "ebpf_tls"]
    assert {each["proto"]["name"] for each in wire} == {"tls", "conn"}  # what was on the wire stays sealed
    on_disk = b"".join(path.read_bytes() for path in (lab.folder / "store").rglob("*") if path.is_file())
    assert on_disk
    assert b"probe.test" not in on_disk  # the node keeps nothing in the clear


def test_what_a_worker_s_filter_left_out_is_a_metric(lab: Lab) -> None:
    """The hub asks over the interface that the worker captures, of which the filter wants one port."""
    ends, found = time.monotonic() + 60, 0.0
    while not found:
        assert time.monotonic() < ends
        metrics = lab.hub.get("/metrics").body.decode()
        said = re.search(r'kubeshark_worker_excluded_packets_total\{worker="node-1"\} (\S+)', metrics)
        found = float(said[1]) if said else 0.0
        time.sleep(0.2)
    (row,) = lab.hub.json("/api/v1/workers")
    assert row["captures"][0]["excluded"] >= found


def test_it_comes_live(lab: Lab) -> None:
    lab.until_probed()
    with lab.hub.socket() as socket:
        got = ask_socket(socket, 1, "http && tls", live=True, columns=["url"])
        while got.read() != "live":
            pass
        ask(lab.port, 4321)
        ends = time.monotonic() + 60
        while "4321" not in got.columns.get("url", []):
            assert time.monotonic() < ends
            got.read()
