"""Addresses of pods, nodes and names, from our own form and from Kubernetes'."""

from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path

import pytest

from kubeshark._document import DocumentError
from kubeshark.firewall.policies._inventory import load_inventory, parse_inventory
from tests.firewall._policies import inventory

KUBERNETES = {
    "kind": "List",
    "items": [
        {"kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}},
        {
            "kind": "Pod",
            "metadata": {"name": "db-1", "namespace": "shop", "labels": {"app": "db"}, "managedFields": [{}]},
            "spec": {"nodeName": "n1", "hostNetwork": False},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
        },
        {
            "kind": "Pod",
            "metadata": {"name": "done", "namespace": "shop"},
            "status": {"phase": "Succeeded", "podIP": "10.0.0.1"},
        },
        {
            "kind": "Node",
            "metadata": {"name": "n1"},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "n1"}]
            },
        },
    ],
}


def test_our_own_form() -> None:
    found = inventory()
    assert found.pods[0].path == "shop/db-1" and found.pods[2].is_on_host_network
    assert found.labels_of("shop") == {"kubernetes.io/metadata.name": "shop", "name": "shop"}
    assert found.addresses_of_name("*.updates.example.test") == (ip_network("198.51.100.7/32"),)
    assert found.addresses_of_name("updates.example.test") == ()


def test_what_kubectl_prints(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(json.dumps(KUBERNETES))
    found = load_inventory(tmp_path / "all.json")
    [pod] = found.pods
    assert (pod.path, pod.node, [str(each) for each in pod.addresses]) == (
        "shop/db-1",
        "n1",
        ["10.0.0.1/32", "fd00::1/128"],
    )
    assert found.nodes[0].addresses == (ip_network("192.0.2.1/32"),)
    assert found.namespaces == {"shop": {"team": "a"}}


def test_one_object_that_kubectl_prints() -> None:
    assert parse_inventory(json.dumps(KUBERNETES["items"][1]).encode(), "pod.json").pods[0].path == "shop/db-1"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"pods: [{name: a, namespace: b, addresses: [x]}]", "i:1:44: pods[0].addresses[0]: 'x' is no address"),
        (b"pods: [{name: a}]", "pods[0]: namespace is missing"),
        (b"pod: []", "pod: unknown field"),
        (b'{"pods": [{"name": 5}]}', "pods[0].name: '5' is no text"),
        (b'{"items": [{"kind": "Pod"}]}', "not a List of Kubernetes objects"),
        (b'{"items": 5}', "not a List of Kubernetes objects"),
        (b"{" * 100_000, "not JSON"),
        (b'{"pods": ' + b"[" * 900 + b"]" * 900 + b"}", "nested more than 24 deep"),
        (b"", "is one document"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, said: str) -> None:
    with pytest.raises(DocumentError) as refused:
        parse_inventory(data, "i")
    assert said in str(refused.value)
