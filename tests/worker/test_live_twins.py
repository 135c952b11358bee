"""Two nodes that capture what they say to each other: the hub's live view tells it once, with both names."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kubeshark.pipeline import Pipeline
from tests.pipeline.reading.test_twins import ID
from tests.worker._cluster import Pki, Process
from tests.worker._namespaces import Network, network

PORT = 8000
EXCHANGES = 12
ASK = """
import sys, time, urllib.request
for number in range(int(sys.argv[2])):
    urllib.request.urlopen(f"{sys.argv[1]}/{number}").read()
    time.sleep(0.2)
"""
ANSWER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"yes")
    def log_message(self, *_):
        pass
HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""


def on(net: Network, node: str, code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["ip", "netns", "exec", net.nodes[node], sys.executable, "-c", code, *arguments])


@contextmanager
def capturing(net: Network, folder: Path) -> Iterator[Pki]:
    """Have a worker on each node that captures what goes to PORT."""
    pki = Pki(folder / "pki", *(net.address(node) for node in net.nodes))
    workers = []
    try:
        for node, namespace in net.nodes.items():
            address = net.address(node)
            given = ("-i", "eth0", "--filter", f"tcp port {PORT}", "--recipient", str(ID.recipient), "--node", node)
            worker = Process(
                folder / node, pki.folder / address, home=folder / "nobody", listen=f"{address}:8898", options=given
            )
            worker.prefix = ("ip", "netns", "exec", namespace)
            worker.start()
            workers.append(worker)
        yield pki
    finally:
        for worker in workers:
            worker.stop()


def test_it_is_told_once_with_the_ids_of_queries(tmp_path: Path) -> None:
    with network(2) as net, capturing(net, tmp_path) as pki, ExitStack() as stack:
        answering = on(net, "node-1", ANSWER, net.address("node-1"), str(PORT))
        urls = [f"https://{net.address(node)}:8898" for node in net.nodes]
        told: list[tuple[str, str, list[str]]] = []
        try:
            with Pipeline.open(tmp_path / "own", identities=[ID], workers=urls, tls=pki.files("hub")) as pipeline:
                follow = net.from_hub(lambda: pipeline.follow("http"))  # threads that ask workers begin there

                def watch() -> None:
                    for entry in follow:
                        told.append((entry.id, str(entry.get("path")), sorted(entry.get("nodes"))))

                watching = threading.Thread(target=lambda: net.from_hub(watch))
                watching.start()
                stack.callback(follow.stop)
                url = f"http://{net.address('node-1')}:{PORT}"
                retrying = ["ip", "netns", "exec", net.nodes["node-2"], sys.executable, "-c", ASK, url, "1"]
                ends = time.monotonic() + 30
                while not told:  # until both capture and the server answers
                    subprocess.run(retrying, capture_output=True, check=False)
                    assert time.monotonic() < ends
                time.sleep(3)
                before = len(told)
                assert on(net, "node-2", ASK, url, str(EXCHANGES)).wait(60) == 0
                while len(told) < before + EXCHANGES and time.monotonic() < ends + 30:
                    time.sleep(0.1)
                time.sleep(2)  # nothing comes twice
                follow.stop()
                watching.join(30)
                queried = net.from_hub(
                    lambda: {entry.id: sorted(entry.get("nodes")) for entry in pipeline.query("http")}
                )
        finally:
            answering.kill()
            answering.wait()
        late = told[before:]
        assert [path for _, path, _ in late] == [f"/{number}" for number in range(EXCHANGES)]
        assert {tuple(nodes) for _, _, nodes in late} == {("node-1", "node-2")}
        assert {each for each, _, _ in late} <= queried.keys()
        assert len({each for each, _, _ in told}) == len(told) == len(queried)
        assert follow.problems == []
