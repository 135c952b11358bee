"""What the accounts of a deployment may ask the API server, and why.

The hub looks up which pod, service or node an address belonged to. Workers and front ask nothing: they have accounts so
that the namespace's default account, whatever it may do, is not theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kubeshark.cluster._names import FRONT, HUB, WORKER, metadata
from kubeshark.cluster._tree import Built, Not, Setting, Text, When

__all__ = ["HUB_GRANTS", "POLICY_GRANTS", "Grant", "accounts", "roles"]

READ = ("get", "list", "watch")


@dataclass(frozen=True, slots=True)
class Grant:
    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str  # a line of docs/cluster.md


HUB_GRANTS = (
    Grant("", "pods", READ, "addresses of pods, their names, labels and nodes; which pods are captured"),
    Grant("", "services", READ, "cluster addresses of services"),
    Grant("discovery.k8s.io", "endpointslices", READ, "which pods are behind a service"),
    Grant("", "nodes", READ, "addresses of nodes, and which have a worker"),
    Grant("", "namespaces", READ, "labels of namespaces, for firewall policies"),
)
"""Everything that is granted. Secrets, logs, exec and every verb that changes something are not."""

POLICY_GRANTS = (
    Grant("kubeshark.io", "firewallpolicies", READ, "with firewall.enabled: the policies that are objects"),
    Grant("kubeshark.io", "firewallpolicies/status", ("patch",), "with firewall.enabled: to say what became of them"),
)
"""Granted besides where the firewall is on."""


ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
"""What EKS looks for: pods of the account get a token of their own for that role, and the variables that name both."""


def accounts() -> list[dict[str, Any]]:
    """Return the accounts; hub and workers, which speak to the archive, have the role for it.

    Not one with an external id: a token of an account takes none, so that role is assumed by the processes.
    """
    role, assumed = (Setting(f"tap.snapshots.cloud.s3.{each}") for each in ("roleArn", "externalId"))

    def about(name: str, component: str) -> dict[str, Any]:
        made = metadata(name, component)
        if component != "front":
            made["annotations"] = {**made["annotations"], ROLE_ANNOTATION: When(Not(assumed), When(role, role))}
        return made

    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": about(name, component),
            "automountServiceAccountToken": False,  # a pod that needs it says so
        }
        for name, component in ((HUB, "hub"), (WORKER, "worker"), (FRONT, "front"))
    ]


def _rule(grant: Grant) -> dict[str, Any]:
    return {"apiGroups": [grant.group], "resources": [grant.resource], "verbs": list(grant.verbs)}


def roles() -> list[dict[str, Any]]:
    api = "rbac.authorization.k8s.io"
    rules = [
        *map(_rule, HUB_GRANTS),
        *(When(Setting("firewall.enabled"), _rule(grant)) for grant in POLICY_GRANTS),
    ]
    return [
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRole",
            "metadata": metadata(HUB, "hub", is_namespaced=False),
            "rules": rules,
        },
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata(HUB, "hub", is_namespaced=False),
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": Text.of(f"{HUB}-", Built("namespace"))},
            "subjects": [{"kind": "ServiceAccount", "name": HUB, "namespace": Built("namespace")}],
        },
    ]
