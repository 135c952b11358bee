"""The kind FirewallPolicy against a real API server: what it takes, who may delete it, what goes with it."""

from __future__ import annotations

import json

import pytest

from kubeshark.cluster import KINDS, Check, Cluster, Deployment, run_checks
from kubeshark.cluster._policy_kind import CRD, POLICY, SCHEMA_FILE
from kubeshark.errors import ClusterError
from kubeshark.firewall.policies._structural import structural_schema
from tests.cluster._hearing import wait_until
from tests.cluster._settings import objects, settings

NAME = "firewallpolicies.kubeshark.io"
POLICY_SPEC = {
    "tier": "Admin",
    "priority": 100,
    "ttl": "2h",
    "confirmWithin": 0,
    "subject": {"host": True},
    "egress": [
        {"name": "a", "action": "Accept", "to": [{"domainNames": ["*.shop.example"]}]},
        {
            "name": "rest",
            "action": "Reject",
            "to": [{"networks": ["0.0.0.0/0"]}],
            "protocols": [{"tcp": {"destinationPort": {"range": {"start": 1, "end": 9}}}}, {"icmp": {"type": 8}}],
        },
    ],
}


def lines_of(cluster: Cluster, namespace: str) -> tuple[Deployment, list[str]]:
    lines: list[str] = []
    return Deployment(cluster, "kubeshark", namespace, lines.append), lines


def test_the_file_is_what_the_firewall_says() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == structural_schema(), "run scripts/generate_chart.py"


def test_it_comes_with_the_firewall_and_stays_while_there_are_policies(cluster: Cluster, namespace: str) -> None:
    if cluster.get(CRD, "", NAME) is not None:  # that of another test
        cluster.ask("DELETE", KINDS[CRD].path("", NAME))
    wait_until(lambda: cluster.get(CRD, "", NAME) is None)
    run, lines = lines_of(cluster, namespace)
    made = objects("firewall.enabled=true", namespace=namespace)
    run.apply(made)
    assert f"created    {CRD} {NAME}" in lines
    wait_until(lambda: _takes(cluster))
    lines.clear()
    assert run.apply(made) == 0, lines

    other, said = lines_of(cluster, f"{namespace}-2")  # another release in the same cluster uses it
    other.apply(objects("firewall.enabled=true", namespace=f"{namespace}-2"))
    assert f"there      {CRD} {NAME}" in said

    run.apply(objects(namespace=namespace))  # the firewall is switched off: policies are not ours to delete
    assert cluster.get(CRD, "", NAME) is not None
    lines.clear()
    run.clean(keep_captures=False)
    assert f"{CRD} {NAME} stays: there are policies, which would go with it" in lines
    cluster.ask("DELETE", KINDS[POLICY].path("", "one"))
    run.clean(keep_captures=False)
    assert f"deleted    {CRD} {NAME}" in lines
    wait_until(lambda: cluster.get(CRD, "", NAME) is None)


def _takes(cluster: Cluster) -> bool:
    body = {"apiVersion": "kubeshark.io/v1", "kind": POLICY, "metadata": {"name": "one"}, "spec": POLICY_SPEC}
    try:
        cluster.json("POST", KINDS[POLICY].path(), body=body, query={"fieldValidation": "Strict"})
    except ClusterError as error:
        assert error.status in (404, 409), error
    return cluster.get(POLICY, "", "one") is not None


def test_the_right_to_make_it_is_checked(cluster: Cluster, namespace: str) -> None:
    def names(*overrides: str) -> dict[str, Check]:
        return {each.name: each for each in run_checks(cluster, settings(*overrides, namespace=namespace))}

    assert names("firewall.enabled=true")["may customresourcedefinitions"].state == "ok"
    assert "may customresourcedefinitions" not in names()


@pytest.mark.parametrize("missing", ["tier", "priority", "subject"])
def test_required_fields(missing: str) -> None:
    assert missing in json.loads(SCHEMA_FILE.read_text())["required"]
