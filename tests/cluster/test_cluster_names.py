"""Names of a real API server's objects, look after look."""

from __future__ import annotations

from kubeshark.cluster import Cluster
from kubeshark.cluster._client import KINDS
from kubeshark.core_capture.store import NameRecord
from kubeshark.pipeline.names._cluster_names import follow_names, present_names
from kubeshark.pipeline.names._named import Names
from tests.cluster._server import make, make_pod, set_status

LATER = 4_000_000_000 * 10**9


def test_pods_services_and_nodes(cluster: Cluster, made_namespace: str) -> None:
    def look(now_ns: int) -> list[NameRecord]:
        found = present_names(cluster.list, now_ns)
        return [each for each in found if each.namespace == made_namespace or each.name == made_namespace]

    make_pod(cluster, made_namespace, "cart-1", "10.9.0.4", metadata={"labels": {"app": "cart"}})
    make_pod(cluster, made_namespace, "waits")
    make_pod(cluster, made_namespace, "agent", "192.0.2.4", spec={"hostNetwork": True})
    make(cluster, "Service", "stock", made_namespace, spec={"ports": [{"port": 80}]})
    make(cluster, "Service", "headless", made_namespace, spec={"clusterIP": "None", "ports": [{"port": 80}]})
    make(cluster, "Node", made_namespace)
    address = {"type": "InternalIP", "address": "192.0.2.4"}
    set_status(cluster, "Node", "", made_namespace, addresses=[address])

    make(
        cluster,
        "EndpointSlice",
        "stock-x7",
        made_namespace,
        metadata={"labels": {"kubernetes.io/service-name": "stock"}},
        addressType="IPv4",
        endpoints=[
            {"addresses": ["10.9.0.4"]},
            {"addresses": ["10.9.0.5"], "conditions": {"ready": False}},
        ],
    )
    make(cluster, "EndpointSlice", "of-nobody", made_namespace, addressType="IPv4", endpoints=[])

    first = follow_names([], look(LATER), LATER)
    assert sorted((each.kind, each.name) for each in first) == [
        *(("node", made_namespace), ("pod", "cart-1"), ("service", "stock"), ("service", "stock")),
    ]
    assert Names(first).at("10.9.0.4", LATER)[:2] == (first[0], first[3])
    (pod,) = (each for each in first if each.kind == "pod")
    assert (pod.addresses, pod.labels, pod.until_ns) == (("10.9.0.4",), {"app": "cart"}, None)
    assert follow_names(first, look(LATER + 5), LATER + 5) == first

    cluster.ask("DELETE", KINDS["Pod"].path(made_namespace, "cart-1"), query={"gracePeriodSeconds": "0"})
    make_pod(cluster, made_namespace, "mail-1", "10.9.0.4")
    second = follow_names(first, look(LATER + 9), LATER + 9)
    pods = [(each.name, each.until_ns) for each in second if each.kind == "pod"]
    assert pods == [("cart-1", LATER + 9), ("mail-1", None)]
