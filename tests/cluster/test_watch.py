"""Watches of a real API server; a small simulator only for what that cannot be made to say."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from kubeshark.cluster import Cluster, _watch
from kubeshark.cluster._client import KINDS
from tests.cluster._hearing import Hearing, Relay
from tests.cluster._server import ApiServer, make_pod, set_status

GAP_S = 3.0
"""In place of a second, which a slow machine needs to hear of something."""


def _delete(cluster: Cluster, namespace: str, name: str) -> None:
    cluster.ask("DELETE", KINDS["Pod"].path(namespace, name), query={"gracePeriodSeconds": "0"})


def test_what_is_made_changes_and_goes_is_heard(
    cluster: Cluster, made_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "GAP_S", 60.0)  # a slow machine makes none
    monkeypatch.setattr(_watch, "STOP_S", 60.0)
    make_pod(cluster, made_namespace, "before", "10.8.0.1")
    hearing = Hearing(cluster, "Pod", "Namespace")
    with hearing.watch:
        hearing.until(lambda: "before" in hearing.names() and made_namespace in hearing.names())
        assert hearing.at("before").is_late
        began = time.time_ns()
        make_pod(cluster, made_namespace, "during")
        hearing.until(lambda: "during" in hearing.names())
        made = hearing.at("during")
        assert not made.is_late and began < made.seen_ns < time.time_ns()
        assert made.object is not None and "managedFields" not in made.object["metadata"]
        set_status(cluster, "Pod", made_namespace, "during", podIP="10.8.0.2")
        hearing.until(lambda: hearing.names().count("during") == 2)
        _delete(cluster, made_namespace, "during")
        hearing.until(lambda: hearing.names()[-1] == "-")
        assert hearing.changes[-1][1].uid == made.uid
        ending = time.monotonic()
    assert time.monotonic() - ending < 20, "of 60"
    heard = len(hearing.changes)
    make_pod(cluster, made_namespace, "after")
    assert len(hearing.changes) == heard and hearing.told == []
    assert not [each for each in threading.enumerate() if each.name.startswith("kubeshark-watch")]


def _relayed(api: ApiServer, relay: Relay, folder: Any) -> Cluster:
    text = api.kubeconfig().read_text().replace(f":{api.port}", f":{relay.port}")
    (folder / "relayed.yaml").write_text(text)
    return Cluster.open(str(folder / "relayed.yaml"))


def test_a_cut_connection_goes_on_where_it_was(
    api: ApiServer, cluster: Cluster, made_namespace: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "GAP_S", GAP_S)
    relay = Relay(api.port)
    hearing = Hearing(_relayed(api, relay, tmp_path), "Pod")
    try:
        with hearing.watch:
            make_pod(cluster, made_namespace, "first")
            hearing.until(lambda: "first" in hearing.names())
            before, lists = len(hearing.changes), hearing.lists
            relay.cut()
            hearing.until(lambda: hearing.told)
            kind, problem = hearing.told[-1]
            assert kind == "Pod" and "cannot be reached" in problem
            make_pod(cluster, made_namespace, "second")
            _delete(cluster, made_namespace, "first")
            time.sleep(1.2 * GAP_S)
            relay.mend()
            hearing.until(lambda: hearing.told[-1] == ("Pod", "") and hearing.names()[-1] == "-")
            heard = [name for name in hearing.names()[before:] if name != "first"]  # it may be marked before it goes
            assert heard == ["second", "-"]  # nothing missed, and nothing listed again
            assert hearing.lists == lists and hearing.at("second").is_late
            relay.drop()
            make_pod(cluster, made_namespace, "third")
            hearing.until(lambda: hearing.names()[-1] == "third")
    finally:
        relay.cut()


def test_who_may_not_is_told_so(api: ApiServer) -> None:
    hearing = Hearing(api.open("viewer"), "Node")
    with hearing.watch:
        hearing.until(lambda: hearing.told)
    assert "forbidden" in hearing.told[0][1] and hearing.changes == []


class _Simulator(BaseHTTPRequestHandler):
    """Answers with what a script says, one entry a watch; lists have one pod, of the number of the list."""

    protocol_version = "HTTP/1.1"
    lists = 0
    watches: ClassVar[list[dict[str, str]]] = []
    script: ClassVar[list[list[bytes | float | int]]] = []

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        kind = type(self)
        if "watch" not in query:
            kind.lists += 1
            self._answer(200, {"metadata": {"resourceVersion": str(100 * kind.lists)}, "items": [_pod(kind.lists)]})
            return
        kind.watches.append(query)
        steps = kind.script.pop(0) if kind.script else [60.0]
        if isinstance(steps[0], int):
            self._answer(steps[0], {"kind": "Status", "code": steps[0], "message": "the server says no"})
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(OSError):
            for step in steps:
                if isinstance(step, bytes):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(step), step))
                else:
                    time.sleep(step)
            self.wfile.write(b"0\r\n\r\n")

    def _answer(self, status: int, document: Any) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


def _pod(number: int, version: int = 0) -> dict[str, Any]:
    meta = {"name": f"pod-{number}", "uid": f"uid-{number}", "resourceVersion": str(version), "namespace": "a"}
    return {"metadata": meta}


def _event(kind: str, thing: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


@pytest.fixture
def simulator(tmp_path: Any) -> Iterator[tuple[Cluster, type[_Simulator]]]:
    kind = type("Simulator", (_Simulator,), {"lists": 0, "watches": [], "script": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(document))
        yield Cluster.open(str(tmp_path / "kubeconfig")), kind
        server.shutdown()


EXPIRED = _event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})


@pytest.mark.parametrize("expired", [[EXPIRED], [410]])
def test_an_expired_version_makes_a_new_list(simulator: tuple[Cluster, type[_Simulator]], expired: list[Any]) -> None:
    cluster, server = simulator
    server.script += [expired]
    hearing = Hearing(cluster, "Pod")
    with hearing.watch:
        hearing.until(lambda: len(hearing.changes) == 3)
        hearing.until(lambda: len(server.watches) == 2)
    assert hearing.names() == ["pod-1", "-", "pod-2"]  # the first is not in the new list
    assert [each["resourceVersion"] for each in server.watches] == ["100", "200"]
    assert all(change.is_late for _, change in hearing.changes) and hearing.told == []


def test_bookmarks_and_a_slow_server(
    simulator: tuple[Cluster, type[_Simulator]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "STOP_S", 60.0)
    cluster, server = simulator
    event = _event("ADDED", _pod(7, 150))
    bookmark = _event("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "177"}})
    server.script += [[event[:9], 0.1, event[9:40], 0.1, event[40:] + bookmark[:5], 0.1, bookmark[5:]]]
    hearing = Hearing(cluster, "Pod")
    with hearing.watch:
        hearing.until(lambda: len(server.watches) == 2)
        assert hearing.names() == ["pod-1", "pod-7"]
        assert server.watches[1]["resourceVersion"] == "177" and server.lists == 1
        assert server.watches[1]["allowWatchBookmarks"] == "true"
        ending = time.monotonic()
    assert time.monotonic() - ending < 20, "of 60, though the server says nothing"


@pytest.mark.parametrize(
    ("said", "told", "lists"),
    [
        ([b"{no event\n"], "what is no event", 2),
        ([_event("ADDED", {"metadata": None})], "what is no event", 2),
        ([_event("ERROR", {"code": 500, "message": "etcd is away"})], "etcd is away", 1),
        ([503], "the server says no", 1),
    ],
)
def test_errors_are_told_and_asked_again(
    simulator: tuple[Cluster, type[_Simulator]], said: list[Any], told: str, lists: int
) -> None:
    cluster, server = simulator
    server.script += [said]
    hearing = Hearing(cluster, "Pod")
    with hearing.watch:
        hearing.until(lambda: len(server.watches) == 2 and hearing.told[-1:] == [("Pod", "")])
    assert told in hearing.told[0][1] and server.lists == lists
