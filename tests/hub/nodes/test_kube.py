"""A hub beside a real API server: its changes become names of the store and the inventory of policies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeshark.cluster import Cluster
from kubeshark.cluster._client import KINDS
from kubeshark.core_capture.store import Identity, JoinedStore, Store
from kubeshark.errors import StoreError
from kubeshark.firewall import Inventory, PolicyStore
from kubeshark.hub.nodes._fleet import Fleet
from kubeshark.hub.nodes._kube import KubeWatch
from tests.cluster._hearing import Relay, wait_until
from tests.cluster._server import ApiServer, api_server, make, make_pod, set_status
from tests.hub._serving import serving


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api")) as server:
        make(server.open(), "Namespace", "shop", metadata={"labels": {"team": "web"}})
        yield server


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Store.open(tmp_path / "store", identities=[Identity.generate()], create=True)


class _Fleet(Fleet):
    """Notes what it was given."""

    def __init__(self, folder: Path) -> None:
        super().__init__(PolicyStore(folder / "policies.json"), lambda _: None)
        self.given: list[Inventory] = []

    def set_inventory(self, inventory: Inventory) -> None:
        self.given.append(inventory)
        super().set_inventory(inventory)

    def pod(self, name: str) -> Any:
        return next((each for each in self.inventory.pods if each.name == name), None)


def _relayed(api: ApiServer, relay: Relay, folder: Path) -> Cluster:
    path = folder / "relayed.yaml"
    path.write_text(api.kubeconfig().read_text().replace(f":{api.port}", f":{relay.port}"))
    return Cluster.open(str(path))


def _delete(cluster: Cluster, name: str) -> None:
    cluster.ask("DELETE", KINDS["Pod"].path("shop", name), query={"gracePeriodSeconds": "0"})


def test_names_and_inventory_follow_the_cluster(api: ApiServer, store: Store, tmp_path: Path) -> None:
    cluster, fleet, said = api.open(), _Fleet(tmp_path), list[str]()
    make(cluster, "Node", "lab-2", metadata={"labels": {"zone": "a"}})
    set_status(cluster, "Node", "", "lab-2", addresses=[{"type": "InternalIP", "address": "192.0.2.2"}])
    relay = Relay(api.port)
    try:
        with KubeWatch(_relayed(api, relay, tmp_path), store, fleet, said.append) as kube:
            wait_until(lambda: fleet.given and all(kube.states().values()))
            first = fleet.given[0]  # nothing before all of it was known
            assert first.namespaces["shop"]["team"] == "web"
            assert [(str(each.addresses[0]), each.labels["zone"]) for each in first.nodes] == [("192.0.2.2/32", "a")]

            labels = {"metadata": {"labels": {"app": "cart"}}, "spec": {"nodeName": "lab-2"}}
            began = time.time_ns()
            make_pod(cluster, "shop", "cart-1", "10.7.0.4", **labels)
            wait_until(lambda: (pod := fleet.pod("cart-1")) and pod.addresses)
            pod = fleet.pod("cart-1")
            assert (pod.labels, pod.node, str(pod.addresses[0])) == ({"app": "cart"}, "lab-2", "10.7.0.4/32")

            wait_until(lambda: any(each.name == "cart-1" for each in store.names()))
            known = time.time_ns()
            _delete(cluster, "cart-1")
            make_pod(cluster, "shop", "mail-1", "10.7.0.4")
            wait_until(lambda: any(each.name == "mail-1" for each in store.names()))
            names = {each.name: each for each in store.names()}
            cart, mail = names["cart-1"], names["mail-1"]
            assert cart.until_ns is not None and mail.until_ns is None
            assert began < cart.since_ns < known < cart.until_ns <= mail.since_ns < time.time_ns()
            assert fleet.pod("cart-1") is None and not said

            relay.cut()
            wait_until(lambda: not all(kube.states().values()))
            assert "the cluster is not watched" in said[0]
            _delete(cluster, "mail-1")
            assert fleet.pod("mail-1") is not None
            relay.mend()
            wait_until(lambda: fleet.pod("mail-1") is None and said[-1] == "the cluster is watched again")
        assert next(each for each in store.names() if each.name == "mail-1").until_ns is not None
    finally:
        relay.cut()


class _Refusing(JoinedStore):
    """A store whose archives cannot be reached twice."""

    refusals, shared = 2, 0

    def share_names(self, node: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreError(f"the archive cannot be reached from {node}")
        self.shared += 1


def test_names_that_an_archive_did_not_get_are_sent_again(
    api: ApiServer, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubeshark.hub.nodes._kube.SHARE_S", 0.3)
    cluster, said = api.open(), list[str]()
    make_pod(cluster, "shop", "till-1", "10.7.0.11")
    joined = _Refusing(store.files, store.identities, 1 << 20)
    with KubeWatch(cluster, joined, _Fleet(tmp_path), said.append):
        wait_until(lambda: joined.shared == 1)
    assert len(said) == 1 and "not copied into the archive" in said[0]
    assert any(each.name == "till-1" for each in joined.names())


def test_serve_with_a_cluster(api: ApiServer, root: Path, tmp_path: Path) -> None:
    cluster = api.open()
    make_pod(cluster, "shop", "stock-1", "10.7.0.9")
    config = {"KUBECONFIG": str(api.kubeconfig())}
    with serving(tmp_path / "store", root, tmp_path, options=("--kube",), **config) as hub:
        wait_until(lambda: hub.json("/api/v1/firewall/inventory")["pods"] >= 1)
        watched = 'kubeshark_cluster_watched{kind="Pod"} 1.0'
        wait_until(lambda: watched in hub.get("/metrics").body.decode())
        assert "kubeshark_cluster_changes_total" in hub.get("/metrics").body.decode()
        wait_until(lambda: (tmp_path / "store" / "names.age").exists())
