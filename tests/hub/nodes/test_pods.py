"""Which addresses are captured while pods come, go and get each other's addresses."""

from __future__ import annotations

from typing import Any

from kubeshark.cluster import Change, PodChoice
from kubeshark.hub.nodes._pods import GRACE_S, ChosenPods, NodePods
from kubeshark.settings import load


class Pods:
    def __init__(self, *overrides: str) -> None:
        self.now = 0.0
        self.chosen = ChosenPods(PodChoice(load(None, {}, overrides).settings), lambda: self.now)

    def be(self, name: str, *addresses: str, node: str = "a", phase: str = "Running", **more: Any) -> None:
        pod = {
            "metadata": {"name": name, "namespace": more.get("namespace", "shop"), "labels": more.get("labels")},
            "spec": {"nodeName": node, "hostNetwork": more.get("host", False)},
            "status": {"phase": phase, "podIPs": [{"ip": each} for each in addresses]},
        }
        self.chosen.take([Change(name, pod, 0, is_late=False)])

    def go(self, name: str) -> None:
        self.chosen.take([Change(name, None, 0, is_late=False)])

    def addresses(self, node: str = "a") -> list[str]:
        return list(self.chosen.of_node(node).addresses)


def test_pods_of_a_node_by_name_and_namespace() -> None:
    pods = Pods("tap.regex=^cart", "tap.excludedNamespaces=test")
    assert not pods.chosen.is_listed
    pods.be("cart-1", "10.0.0.1", "2001:db8::1")
    pods.be("stock-1", "10.0.0.2")
    pods.be("cart-2", "10.0.0.3", node="b")
    pods.be("cart-3", "10.0.0.4", namespace="test")
    pods.be("cart-4", "10.0.0.5", labels={"kubeshark.io/release": "kubeshark"})
    pods.be("cart-5")
    pods.be("cart-6", "192.0.2.1", host=True)
    assert pods.chosen.is_listed
    uids = ("cart-1", "cart-5")  # the other one's address is its node's
    assert pods.chosen.of_node("a") == NodePods(("10.0.0.1", "2001:db8::1"), pods=1, waiting=1, sharing=1, uids=uids)
    assert pods.addresses("b") == ["10.0.0.3"]
    assert pods.chosen.of_node("c") == NodePods()


def test_a_pod_that_went_is_captured_a_while() -> None:
    pods = Pods()
    pods.be("cart-1", "10.0.0.1")
    pods.be("cart-2", "10.0.0.2")
    pods.go("cart-1")
    pods.be("cart-2", "10.0.0.2", phase="Succeeded")
    pods.now += GRACE_S / 2
    pods.be("cart-2", "10.0.0.2", phase="Succeeded")  # heard of again: its time goes on
    assert pods.chosen.of_node("a") == NodePods(("10.0.0.1", "10.0.0.2"), uids=("cart-1", "cart-2"))
    pods.now += GRACE_S / 2 + 1
    assert pods.addresses() == []


def test_an_address_is_that_of_the_pod_that_has_it_now() -> None:
    pods = Pods("tap.regex=^cart")
    pods.be("cart-1", "10.0.0.1")
    pods.go("cart-1")
    pods.be("stock-1", "10.0.0.1")  # not selected: nothing of it is captured, at once
    assert pods.addresses() == []
    pods.go("stock-1")
    pods.be("cart-2", "10.0.0.1", node="b")
    assert pods.addresses("b") == ["10.0.0.1"]


def test_a_name_that_is_selected_no_longer_and_what_is_no_pod() -> None:
    pods = Pods("tap.namespaces=shop")
    pods.chosen.take([Change("odd", {"metadata": None}, 0, is_late=True), Change("gone", None, 0, is_late=True)])
    assert pods.addresses() == []
    heard = []
    pods.chosen.on_change = lambda: heard.append(1)
    pods.be("cart-1", "10.0.0.1")
    assert heard == [1]
