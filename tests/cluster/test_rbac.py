"""What the accounts may do, asked of a real API server one verb at a time, and tried as them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import pytest

from kubeshark.cluster import HUB_GRANTS, POLICY_GRANTS, Cluster, Deployment
from kubeshark.cluster._rbac import Grant
from kubeshark.errors import ClusterError
from tests.cluster._settings import objects

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    *(
        ("", name)
        for name in ("pods", "services", "endpoints", "nodes", "namespaces", "secrets", "configmaps", "events")
    ),
    *(("", name) for name in ("pods/log", "pods/exec", "pods/portforward", "nodes/proxy", "serviceaccounts/token")),
    ("discovery.k8s.io", "endpointslices"),
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("networking.k8s.io", "networkpolicies"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("kubeshark.io", "firewallpolicies"),
    ("kubeshark.io", "firewallpolicies/status"),
)


@pytest.fixture(scope="module")
def deployed(api: object) -> str:
    cluster: Cluster = api.open()  # type: ignore[attr-defined]
    Deployment(cluster, "kubeshark", "rights", lambda _: None).apply(objects(namespace="rights"))
    return "rights"


@pytest.fixture(scope="module")
def with_firewall(api: object) -> str:
    cluster: Cluster = api.open()  # type: ignore[attr-defined]
    made = objects("firewall.enabled=true", namespace="rights-of-firewall")
    Deployment(cluster, "kubeshark", "rights-of-firewall", lambda _: None).apply(made)
    return "rights-of-firewall"


ACCOUNTS = ("kubeshark-hub", "kubeshark-worker", "kubeshark-front")


@pytest.mark.parametrize("account", ACCOUNTS)
def test_one_verb_at_a_time(cluster: Cluster, deployed: str, account: str) -> None:
    assert _allowed(cluster, deployed, account) == (_granted(HUB_GRANTS) if account == "kubeshark-hub" else set())


@pytest.mark.parametrize("account", ACCOUNTS)
def test_with_the_firewall_the_hub_reads_policies_and_writes_their_status(
    cluster: Cluster, with_firewall: str, account: str
) -> None:
    granted = _granted((*HUB_GRANTS, *POLICY_GRANTS))
    assert _allowed(cluster, with_firewall, account) == (granted if account == "kubeshark-hub" else set())


def _granted(grants: Iterable[Grant]) -> set[tuple[str, str, str]]:
    return {(grant.group, grant.resource, verb) for grant in grants for verb in grant.verbs}


def _allowed(cluster: Cluster, deployed: str, account: str) -> set[tuple[str, str, str]]:
    found = set()
    for (group, resource), verb in product(RESOURCES, VERBS):
        name, _, part = resource.partition("/")
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{deployed}:{account}",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "resourceAttributes": {
                    "group": group, "resource": name, "subresource": part, "verb": verb, "namespace": "default"
                },
            },
        }  # fmt: skip
        answer = cluster.json("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review)
        if answer["status"]["allowed"]:
            found.add((group, resource, verb))
    return found


def test_as_the_hub(cluster: Cluster, deployed: str) -> None:
    """Impersonated: what it needs answers, what it must not see does not."""
    headers = {"Impersonate-User": f"system:serviceaccount:{deployed}:kubeshark-hub"}
    for path in ("/api/v1/pods", "/api/v1/services", "/api/v1/nodes", "/apis/discovery.k8s.io/v1/endpointslices"):
        assert "items" in cluster.json("GET", path, headers=headers)
    for path in ("/api/v1/secrets", f"/api/v1/namespaces/{deployed}/secrets/kubeshark-identity", "/api/v1/configmaps"):
        with pytest.raises(ClusterError, match="cannot") as caught:
            cluster.json("GET", path, headers=headers)
        assert caught.value.status == 403
