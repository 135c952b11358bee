"""Which pods are captured."""

from __future__ import annotations

import pytest

from kubeshark.cluster import Cluster, targets
from kubeshark.errors import ClusterError, UsageError
from tests.cluster._server import make, make_pod, set_status
from tests.cluster._settings import settings


@pytest.fixture
def pods(cluster: Cluster, made_namespace: str) -> str:
    make(cluster, "Namespace", f"{made_namespace}-b")
    make_pod(cluster, made_namespace, "cart-1", "10.0.0.1")
    make_pod(cluster, made_namespace, "stock-1", "10.0.0.2", spec={"nodeName": "node-1"})
    make_pod(cluster, made_namespace, "cart-old", "10.0.0.3")
    set_status(cluster, "Pod", made_namespace, "cart-old", phase="Succeeded")
    make_pod(cluster, made_namespace, "own", "10.0.0.4", metadata={"labels": {"kubeshark.io/release": "kubeshark"}})
    make_pod(cluster, f"{made_namespace}-b", "cart-2")
    return made_namespace


def chosen(cluster: Cluster, *overrides: str) -> list[str]:
    return [f"{each.namespace}/{each.name}" for each in targets(cluster, settings(*overrides))]


def test_by_namespace_and_name(cluster: Cluster, pods: str) -> None:
    both = (f"tap.namespaces={pods}", f"tap.namespaces={pods}-b")
    assert chosen(cluster, *both) == [f"{pods}/cart-1", f"{pods}/stock-1", f"{pods}-b/cart-2"]
    assert chosen(cluster, *both, "tap.regex=^cart") == [f"{pods}/cart-1", f"{pods}-b/cart-2"]
    assert chosen(cluster, *both, f"tap.excludedNamespaces={pods}") == [f"{pods}-b/cart-2"]  # exclusion wins
    assert f"{pods}/own" in chosen(cluster, *both, "tap.capture.captureSelf=true")
    assert set(chosen(cluster, *both)) <= set(chosen(cluster))


def test_what_is_known_of_a_pod(cluster: Cluster, pods: str) -> None:
    [found] = targets(cluster, settings(f"tap.namespaces={pods}", "tap.regex=stock"))
    assert (found.node, found.addresses, found.shares_node) == ("node-1", ("10.0.0.2",), False)


def test_what_is_not_there(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="there is no namespace 'absent'"):
        chosen(cluster, "tap.namespaces=absent")


def test_what_is_no_regular_expression(cluster: Cluster) -> None:
    with pytest.raises(UsageError, match="regular expression"):
        chosen(cluster, "tap.regex=(")
