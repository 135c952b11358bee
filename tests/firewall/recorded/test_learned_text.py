"""Lessons as documents: ours are policies, Kubernetes' are what its own schema takes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kubeshark.errors import UsageError
from kubeshark.firewall import learn, lesson_as_network_policies, lesson_as_policies, parse_policies
from kubeshark.firewall.policies._inventory import parse_inventory
from kubeshark.firewall.policies._policy import parse_subject
from kubeshark.firewall.recorded._learned_text import _flow
from tests.firewall._policies import inventory
from tests.firewall._recorded import flow, recorded

HOST = parse_inventory(b"host: [192.0.2.5]", "i")
DB = parse_subject("pods:shop/app=db")


def test_a_policy_with_its_evidence() -> None:
    lesson = learn([recorded([flow("10.30.0.7", "10.20.0.1", 5432, bits=4)])], DB, inventory())
    text = lesson_as_policies(lesson, "db")
    assert text.startswith("# Learned from 1 connection, 1970-01-01 00:00:01 … 1970-01-01 00:00:02.")
    assert "# Not seen: no traffic of shop/db-2." in text
    assert '    # 1 flow, 1970-01-01 00:00:01 … 1970-01-01 00:00:02\n    - name: "from-stock-tcp-5432"' in text
    [policy] = parse_policies(text.encode(), "p")
    assert (policy.name, policy.mode, policy.subject) == ("db", "Audit", DB)
    assert [rule.name for rule in policy.rules] == ["from-stock-tcp-5432", "rest", "rest"]


def test_many_rules_become_several_policies() -> None:
    rows = [flow(f"203.0.{n}.1", "192.0.2.5", 100 + 2 * n) for n in range(60)]
    lesson = learn([recorded(rows)], parse_subject("host"), HOST)
    policies = parse_policies(lesson_as_policies(lesson, "host").encode(), "p")
    assert [policy.name for policy in policies] == ["host", "host-2", "host-3"]
    assert [len(policy.rules) for policy in policies] == [24, 24, 14]
    assert [policy.rules[-1].name for policy in policies].count("rest") == 1
    assert [policy.priority for policy in policies] == [500, 501, 502]


def test_a_network_policy_as_kubernetes_has_it() -> None:
    rows = [
        flow("10.30.0.7", "10.20.0.1", 5432),
        flow("203.0.113.1", "10.20.0.1", 8000),
        flow("203.0.113.1", "10.20.0.1", 8001),
        flow("10.20.0.1", "10.96.0.10", 53, 17),
        flow("10.20.0.1", "203.0.113.2", 0, 47),
    ]
    text = lesson_as_network_policies(learn([recorded(rows)], DB, inventory()), "db")
    document: dict[str, Any] = yaml.safe_load(text)
    assert (document["apiVersion"], document["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    assert document["metadata"] == {"name": "db", "namespace": "shop"}
    assert document["spec"]["podSelector"] == {"matchLabels": {"app": "db"}}
    assert {
        "from": [{"ipBlock": {"cidr": "203.0.113.1/32"}}],
        "ports": [{"protocol": "TCP", "port": 8000, "endPort": 8001}],
    } in document["spec"]["ingress"]
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"app": "dns"}},
    }
    assert {"to": [dns], "ports": [{"protocol": "UDP", "port": 53}]} in document["spec"]["egress"]
    assert "not to be said in a NetworkPolicy: any" in text


def test_a_network_policy_is_about_pods() -> None:
    with pytest.raises(UsageError, match="is about pods"):
        lesson_as_network_policies(learn([], parse_subject("host"), HOST), "x")
    with pytest.raises(UsageError, match="knows no pod"):
        lesson_as_network_policies(learn([], parse_subject("pods:none/a=b"), inventory()), "x")


@pytest.mark.parametrize("value", ["no", "5", "a b", 'a"b', "é", "a: b", "#x", "", True, 5, None, ["a", {"b": ["c"]}]])
def test_values_survive(value: Any) -> None:
    assert yaml.safe_load(_flow({"k": value})) == {"k": value}
