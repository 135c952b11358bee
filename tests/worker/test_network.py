"""Four nodes and a hub in namespaces of their own: cables are pulled and workers killed, in mid-query too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kubeshark.pipeline import Pipeline
from tests.pipeline._traffic import MS
from tests.pipeline.reading.test_twins import ID, store_of, traffic
from tests.worker._cluster import Pki, Process
from tests.worker._namespaces import Network, network

EACH = 6 * 3  # HTTP exchanges of a node
MOST_SECONDS = 90
"""Of one query, whatever is cut: asking takes 3, one read 10, and this machine may be busy."""


class Cluster:
    def __init__(self, net: Network, folder: Path, stack: ExitStack) -> None:
        self.net = net
        self.pki = Pki(folder / "pki", *(net.address(node) for node in net.nodes))
        self.workers: dict[str, Process] = {}
        for number, (node, namespace) in enumerate(net.nodes.items()):
            records = traffic(clock_ns=number * 60_000 * MS, first=10 * number).records
            store = store_of(folder / node, **{node: records})
            address = net.address(node)
            worker = Process(store, self.pki.folder / address, home=folder / "nobody", listen=f"{address}:8898")
            worker.prefix = ("ip", "netns", "exec", namespace)
            worker.start()
            stack.callback(worker.stop)
            self.workers[node] = worker
        urls = [f"https://{net.address(node)}:8898" for node in net.nodes]
        self.pipeline = stack.enter_context(
            Pipeline.open(folder / "own", identities=[ID], workers=urls, tls=self.pki.files("hub"))
        )

    def ask(self, then: Callable[[], object] = lambda: None) -> tuple[int, list[str]]:
        """Count exchanges; `then` happens when the indexes are here and the packets are not."""

        def do() -> tuple[int, list[str]]:
            began = time.monotonic()
            query = self.pipeline.query("http")
            then()
            count = sum(1 for _ in query)
            assert time.monotonic() - began < MOST_SECONDS
            return count, list(map(str, query.problems))

        return self.net.from_hub(do)

    def until_all_are_there(self) -> None:
        until = time.monotonic() + 90
        while self.ask() != (4 * EACH, []):
            assert time.monotonic() < until
            time.sleep(0.5)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack.enter_context(network(4)), tmp_path, stack)


def test_one_of_four_is_cut_off(cluster: Cluster) -> None:
    cluster.until_all_are_there()
    cluster.net.cut("node-3")
    time.sleep(2.1)  # what was listed is not believed any more
    for _ in range(3):
        count, problems = cluster.ask()
        assert (count, len(problems)) == (3 * EACH, 1)
        assert problems[0].startswith("https://10.213.7.3:8898: ")
    cluster.net.mend("node-3")
    cluster.until_all_are_there()


def test_cut_off_in_the_middle_of_a_query(cluster: Cluster) -> None:
    cluster.ask()
    cluster.pipeline.free_memory()
    count, problems = cluster.ask(then=lambda: cluster.net.cut("node-2"))
    assert (count, len(problems)) == (3 * EACH, 1)
    assert problems[0].startswith("https://10.213.7.2:8898: ")
    cluster.net.mend("node-2")
    cluster.until_all_are_there()


def test_killed_in_the_middle_of_a_query_and_started_again(cluster: Cluster) -> None:
    worker = cluster.workers["node-4"]
    count, problems = cluster.ask(then=worker.kill)
    assert (count, len(problems)) == (3 * EACH, 1)
    assert problems[0].startswith("https://10.213.7.4:8898: ")
    worker.start()
    cluster.until_all_are_there()

    def restart() -> None:
        worker.kill()
        worker.start()

    count, problems = cluster.ask(then=restart)  # faster than anybody noticed
    assert (count, problems) == (4 * EACH, [])


def test_nobody_is_there(cluster: Cluster) -> None:
    for node in cluster.net.nodes:
        cluster.net.cut(node)
    count, problems = cluster.ask()
    assert (count, len(problems)) == (0, 4)
    for node in cluster.net.nodes:
        cluster.net.mend(node)
    cluster.until_all_are_there()
