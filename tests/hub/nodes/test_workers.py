"""A hub whose workers come and go: what it says of them, to programs, Prometheus and browsers."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kubeshark._certificates import issue
from kubeshark.core_capture.store import create_identity, load_identities
from tests.hub._serving import Hub, ask_socket, serving_workers
from tests.pipeline._traffic import MS
from tests.pipeline.reading import test_twins
from tests.pipeline.reading.test_twins import store_of, traffic
from tests.worker._cluster import Process

COMMAND = (sys.executable, "-m", "kubeshark")


class Cluster:
    """Two workers that saw the same, and one that saw something else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        issue(folder / "pki", ["localhost"])
        self.workers: dict[str, Process] = {}
        seen = {
            "node-1": traffic().records,
            "node-2": traffic(clock_ns=MS).records,
            "node-3": traffic(clock_ns=60_000 * MS, connections=2, first=50).records,
        }
        for node, records in seen.items():
            store = store_of(folder / node, **{node: records})
            self.workers[node] = Process(
                store, folder / "pki/localhost", home=folder / "nobody", options=("--node", node)
            )

    def restart(self, node: str) -> None:
        """Start a worker where it was."""
        worker = self.workers[node]
        if worker.port:
            arguments = list(worker.arguments)
            arguments[arguments.index("--listen") + 1] = f"127.0.0.1:{worker.port}"
            worker.arguments = tuple(arguments)
        worker.start()

    def urls(self) -> list[str]:
        return [f"https://localhost:{worker.port}" for worker in self.workers.values()]

    def hub(self, urls: list[str] | None = None) -> AbstractContextManager[Hub]:
        return serving_workers(self.folder, self.urls() if urls is None else urls)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    path = tmp_path / "hub" / ".kubeshark" / "identity.age"
    create_identity(path)
    monkeypatch.setattr(test_twins, "ID", load_identities(path)[0])
    made = Cluster(tmp_path)
    for node in made.workers:
        made.restart(node)
    yield made
    for worker in made.workers.values():
        worker.stop()


def states(hub: Hub) -> dict[str, str]:
    return {row["node"] or row["url"]: row["state"] for row in hub.json("/api/v1/workers")}


def wait_for(hub: Hub, **wanted: str) -> None:
    until = time.monotonic() + 60
    while {name.replace("-", "_"): state for name, state in states(hub).items()} != wanted:
        assert time.monotonic() < until, states(hub)
        time.sleep(0.1)


def rows(hub: Hub, kfl: str = "http") -> tuple[int, list[str]]:
    """Return how many entries there are, and what problems."""
    lines = hub.get(f"/api/v1/query?kfl={kfl}").body.splitlines()
    said = [json.loads(line) for line in lines]
    problems = [each["problem"] for each in said if "problem" in each]
    return len(said) - len(problems), problems


def test_workers_come_and_go(cluster: Cluster) -> None:
    with cluster.hub() as hub:
        wait_for(hub, node_1="up", node_2="up", node_3="up")
        assert rows(hub) == (6 * 3 + 2 * 3, [])
        listed = hub.json("/api/v1/workers")
        assert [(row["segments"], row["refuses"], row["why"]) for row in listed] == [(1, "", "")] * 3
        assert all(row["fetched_bytes"] > 0 for row in listed)
        with hub.socket() as socket:
            told = json.loads(socket.recv(timeout=30))
            assert (told["op"], [row["state"] for row in told["workers"]]) == ("workers", ["up"] * 3)
            cluster.workers["node-3"].kill()
            wait_for(hub, node_1="up", node_2="up", node_3="away")
            count, problems = rows(hub)
            assert (count, len(problems)) == (6 * 3, 1)
            assert re.fullmatch(rf"node-3 \({cluster.urls()[2]}\): .*", problems[0])
            told = json.loads(socket.recv(timeout=60))
            assert {row["node"]: row["state"] for row in told["workers"]}["node-3"] == "away"
            results = ask_socket(socket, 5, "http")
            done = results.to_the_end()
            assert (done["op"], done["rows"], len(done["problems"])) == ("done", 6 * 3, 1)
        part = hub.get("/api/v1/export?format=pcap")
        assert json.loads(part.headers["kubeshark-problems"]) == problems
        health = hub.json("/api/v1/health")
        assert not health["ok"]
        assert any("worker node-3 is away" in problem for problem in health["problems"])
        metrics = hub.get("/metrics").body.decode()
        assert 'kubeshark_worker_up{worker="node-1"} 1.0' in metrics
        assert 'kubeshark_worker_up{worker="node-3"} 0.0' in metrics
        cluster.restart("node-3")
        wait_for(hub, node_1="up", node_2="up", node_3="up")
        assert rows(hub) == (6 * 3 + 2 * 3, [])
    with cluster.hub() as hub:  # it was killed, and knows no more than its options
        assert rows(hub) == (6 * 3 + 2 * 3, [])


def test_a_copy_stands_in_for_the_one_that_is_gone(cluster: Cluster) -> None:
    with cluster.hub() as hub:
        assert rows(hub, "http+%26%26+worker+%3D%3D+%22node-1%22")[0] == 6 * 3
        cluster.workers["node-1"].kill()
        wait_for(hub, node_1="away", node_2="up", node_3="up")
        count, problems = rows(hub)
        assert (count, len(problems)) == (6 * 3 + 2 * 3, 1)
        assert rows(hub, "http+%26%26+worker+%3D%3D+%22node-2%22")[0] == 6 * 3


def test_workers_of_the_settings_join_and_leave(cluster: Cluster) -> None:
    own, other = str(cluster.folder / "pki/hub"), str(cluster.folder / "nowhere")
    (cluster.folder / "own").mkdir()
    one, two, three = cluster.urls()
    with cluster.hub([one]) as hub:
        wait_for(hub, node_1="up")
        for wrong in ({"url": "http://localhost:1"}, {"url": two, "tls": other}):
            refused = hub.ask("PUT", "/api/v1/workers", [wrong])
            assert refused.status == 400, refused.body
        with hub.socket() as socket:
            socket.recv(timeout=30)
            rows_now = json.loads(hub.ask("PUT", "/api/v1/workers", [{"url": three, "tls": own}, {"url": two}]).body)
            assert [(row["url"], row["is_set"]) for row in rows_now] == [(one, False), (three, True), (two, True)]
            assert len(json.loads(socket.recv(timeout=30))["workers"]) == 3
        wait_for(hub, node_1="up", node_2="up", node_3="up")
        assert rows(hub) == (6 * 3 + 2 * 3, [])
        assert json.loads(hub.ask("PUT", "/api/v1/settings", {}).body)["redaction"] is None  # keeps the workers
    with cluster.hub([one]) as hub:  # began again
        wait_for(hub, node_1="up", node_2="up", node_3="up")
        assert len(json.loads(hub.ask("PUT", "/api/v1/workers", []).body)) == 1
        assert rows(hub) == (6 * 3, [])
        hub.ask("PUT", "/api/v1/workers", [{"url": three, "tls": own}])
        wait_for(hub, node_1="up", node_3="up")
    (cluster.folder / "pki/hub").rename(other)
    with cluster.hub([]) as hub:  # the files of the settings are gone, and the hub works
        listed = hub.json("/api/v1/workers")
        assert [(row["url"], row["state"]) for row in listed] == [(three, "away")]
        assert "there is no" in listed[0]["why"]
        assert not hub.json("/api/v1/health")["ok"]
    log = (cluster.folder / "hub/.kubeshark/hub/audit.jsonl").read_text()
    assert log.count('"set workers"') == 3


def test_without_workers_there_are_none(hub: Hub) -> None:
    assert hub.json("/api/v1/workers") == []
