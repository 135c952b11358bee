"""FirewallPolicy objects of a real API server as policies of a hub."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeshark.cluster import KINDS, Cluster
from kubeshark.cluster._manifests import render
from kubeshark.cluster._policy_kind import policy_kind
from kubeshark.cluster._values import scope_of
from kubeshark.errors import ClusterError, UsageError
from kubeshark.firewall import NewPolicy, PolicyOwned, PolicyStore
from kubeshark.hub.access._audit import Audit
from kubeshark.hub.nodes._fleet import Fleet
from kubeshark.hub.nodes._policy_objects import OBJECTS, PolicyObjects
from tests.cluster._hearing import wait_until
from tests.cluster._server import ApiServer, api_server, make_pod
from tests.cluster._settings import settings
from tests.hub._serving import serving

KIND = KINDS["FirewallPolicy"]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api")) as server:
        cluster = server.open()
        for made in render([policy_kind()], scope_of(settings("firewall.enabled=true"), "0.1.0", {})):
            cluster.apply(made)
        wait_until(lambda: _is_served(cluster))
        yield server


def _is_served(cluster: Cluster) -> bool:
    try:
        list(cluster.list("FirewallPolicy"))
    except ClusterError:
        return False
    return True


@pytest.fixture
def cluster(api: ApiServer) -> Iterator[Cluster]:
    made = api.open()
    yield made
    made.ask("DELETE", KIND.path())


def spec(action: str = "Deny", port: int = 81, **more: Any) -> dict[str, Any]:
    rule = {
        "name": "closed",
        "action": action,
        "from": [{"networks": ["0.0.0.0/0"]}],
        "protocols": [{"tcp": {"destinationPort": {"number": port}}}],
    }
    subject = {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}}
    return {"tier": "Admin", "priority": 100, "mode": "Enforce", "subject": subject, "ingress": [rule], **more}


def put(cluster: Cluster, name: str, wanted: dict[str, Any], **labels: str) -> dict[str, Any]:
    """Make or change an object as kubectl apply --validate=false does: unknown fields come through."""
    body = {"apiVersion": "kubeshark.io/v1", "kind": "FirewallPolicy", "metadata": {"name": name, "labels": labels}}
    query = {"fieldManager": "somebody", "force": "true", "fieldValidation": "Ignore"}
    path = KIND.path("", name)
    return cluster.json(
        "PATCH", path, query=query, body={**body, "spec": wanted}, content="application/apply-patch+yaml"
    )


def status(cluster: Cluster, name: str) -> dict[str, Any]:
    found = cluster.get("FirewallPolicy", "", name)
    return (found or {}).get("status") or {}


def until(cluster: Cluster, name: str, generation: int, reason: str) -> dict[str, Any]:
    def is_so() -> bool:
        found = status(cluster, name)
        return (found.get("observedGeneration"), found.get("reason")) == (generation, reason)

    wait_until(is_so)
    return status(cluster, name)


class Hub:
    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.store = PolicyStore(folder / "policies.json")
        self.fleet = Fleet(self.store, lambda _: None)
        self.audit = folder / "audit.jsonl"
        self.said: list[str] = []
        self.objects = PolicyObjects(cluster, self.fleet, Audit(self.audit), self.said.append)

    def names(self) -> list[str]:
        return [each.policy.name for each in self.store.all()]

    def actions(self) -> list[str]:
        return [json.loads(line)["action"] for line in self.audit.read_text().splitlines()]


@pytest.fixture
def hub(cluster: Cluster, tmp_path: Path) -> Iterator[Hub]:
    made = Hub(cluster, tmp_path)
    with made.objects:
        yield made


def test_objects_come_change_and_go(cluster: Cluster, hub: Hub) -> None:
    put(cluster, "shop", spec(), team="web")
    found = until(cluster, "shop", 1, "Accepted")
    assert (found["accepted"], found["errors"], found["enforced"]) == (True, [], "0/0")
    assert {each["type"]: each["status"] for each in found["conditions"]} == {"Accepted": "True", "Enforced": "False"}
    kept = hub.store.get("shop")
    assert kept is not None and kept.owner and kept.policy.labels == {"team": "web"} and kept.policy.mode == "Enforce"
    assert OBJECTS not in hub.fleet.awaits

    put(cluster, "shop", spec(port=82))
    until(cluster, "shop", 2, "Accepted")
    wait_until(lambda: "number: 82" in (hub.store.get("shop") or kept).text)
    cluster.ask("DELETE", KIND.path("", "shop"))
    wait_until(lambda: len(hub.actions()) == 3)  # what was done is noted when it has been done
    assert hub.actions() == ["take policy object", "take policy object", "policy object is gone"]
    assert hub.names() == []


def test_what_cannot_be_accepted_says_why_and_changes_nothing(cluster: Cluster, hub: Hub) -> None:
    put(cluster, "shop", spec())
    until(cluster, "shop", 1, "Accepted")
    put(cluster, "shop", {**spec(), "surprise": 1})  # a later version's field, or a slip: it is not pruned in silence
    found = until(cluster, "shop", 2, "Invalid")
    assert not found["accepted"] and "surprise" in found["errors"][0]
    kept = hub.store.get("shop")
    assert kept is not None and kept.text.count("number: 81") == 1  # what was accepted goes on
    put(cluster, "other", spec(ingress=[{"action": "Deny", "from": [{"networks": ["10.0.0.1/8"]}]}]))
    found = until(cluster, "other", 1, "Invalid")
    assert found["errors"][0].startswith("spec.ingress[0].from[0].networks[0]: ")
    with pytest.raises(ClusterError, match="Unsupported value"):  # most mistakes never get so far
        put(cluster, "third", spec(action="Drop"))
    assert hub.names() == ["shop"]


def test_whose_a_policy_is(cluster: Cluster, hub: Hub) -> None:
    put(cluster, "shop", spec())
    until(cluster, "shop", 1, "Accepted")
    kept = hub.store.get("shop")
    assert kept is not None
    with pytest.raises(PolicyOwned, match="policy shop is an object of the cluster"):
        hub.store.change([NewPolicy(kept.text)])
    with pytest.raises(PolicyOwned):
        hub.store.change(delete=[("shop", None)])
    hub.store.change([NewPolicy(kept.text.replace("name: shop", "name: mine"))])
    put(cluster, "mine", spec(port=99))
    assert "keeps a policy mine of its own" in until(cluster, "mine", 1, "Conflict")["errors"][0]
    hub.store.change(delete=[("mine", None)])
    until(cluster, "mine", 1, "Accepted")
    assert sorted(hub.names()) == ["mine", "shop"]


def test_what_was_undone_stays_undone_until_the_object_changes(cluster: Cluster, hub: Hub, tmp_path: Path) -> None:
    put(cluster, "shop", spec())
    until(cluster, "shop", 1, "Accepted")
    put(cluster, "shop", spec(port=82))
    until(cluster, "shop", 2, "Accepted")
    hub.store.roll_back()
    assert "change it to have it again" in until(cluster, "shop", 2, "RolledBack")["errors"][0]
    time.sleep(2.5)
    kept = hub.store.get("shop")
    assert kept is not None and "number: 81" in kept.text
    put(cluster, "shop", spec(port=83))
    until(cluster, "shop", 3, "Accepted")

    put(cluster, "short", spec(port=84, ttl="3s"))
    until(cluster, "short", 1, "Accepted")

    def is_over() -> bool:
        hub.store.tick()
        return hub.store.get("short") is None

    wait_until(is_over)
    until(cluster, "short", 1, "Expired")

    (tmp_path / "again").mkdir()
    again = Hub(cluster, tmp_path / "again")  # a hub that lost its list has it from the objects, but for what is over
    with again.objects:
        wait_until(lambda: again.names() == ["shop"])
        time.sleep(0.5)
    assert again.names() == ["shop"] and status(cluster, "short")["reason"] == "Expired"


def test_what_could_lock_out_is_undone_unless_confirmed(cluster: Cluster, hub: Hub) -> None:
    put(cluster, "all", spec(subject={"namespaces": {}}))
    until(cluster, "all", 1, "Accepted")
    assert hub.store.seconds_left is not None and hub.store.seconds_left > 50
    hub.store.confirm()
    with pytest.raises(UsageError):
        hub.store.confirm()


def test_serve_takes_objects_and_rest_does_not_change_them(
    api: ApiServer, cluster: Cluster, root: Path, tmp_path: Path
) -> None:
    put(cluster, "shop", spec())
    make_pod(cluster, "default", "web-1", "10.7.0.9", metadata={"labels": {"app": "web"}})
    config = {"KUBECONFIG": str(api.kubeconfig())}
    with serving(tmp_path / "store", root, tmp_path, options=("--kube", "--kube-policies"), **config) as hub:

        def policies() -> Any:
            return hub.json("/api/v1/firewall/policies")

        wait_until(lambda: [each["name"] for each in policies()] == ["shop"])
        wait_until(lambda: policies()[0]["compiled"] == 1)
        [found] = policies()
        assert found["owner"] == "cluster" and found["mode"] == "Enforce"
        answer = hub.ask("DELETE", "/api/v1/firewall/policies/shop")
        assert answer.status == 409 and b"kubectl edit firewallpolicy shop" in answer.body
        answer = hub.ask("PUT", "/api/v1/firewall/policies/shop", {"policy": found["text"]})
        assert answer.status == 409
        cluster.ask("DELETE", KIND.path("", "shop"))
        wait_until(lambda: policies() == [])
