"""The objects of a deployment, in the order in which they are made: what others need comes first."""

from __future__ import annotations

from typing import Any

from kubeshark.cluster._names import (
    CONFIG,
    FRONT,
    FRONT_PORT,
    HUB,
    HUB_PORT,
    IDENTITY,
    TLS_HUB,
    TLS_WORKER,
    TOKEN,
    WORKER,
    WORKER_PORT,
    metadata,
    selector,
)
from kubeshark.cluster._pods import (
    CONFIGURATION,
    HUB_CLAIM,
    WORKER_CLAIM,
    front_template,
    hub_template,
    worker_template,
)
from kubeshark.cluster._policy_kind import policy_kind
from kubeshark.cluster._rbac import accounts, roles
from kubeshark.cluster._tree import Built, Each, Item, Material, Not, Scope, Setting, Spread, When, evaluate
from kubeshark.cluster._values import scope_of
from kubeshark.settings import Settings

__all__ = ["manifests", "namespace", "objects", "render", "secrets"]


def namespace() -> dict[str, Any]:
    """The namespace, where it is not there yet: one that admits pods in the network of their node."""
    made = metadata("", "namespace", is_namespaced=False)
    made["name"] = Built("namespace")
    made["labels"] = {**made["labels"], "pod-security.kubernetes.io/enforce": "privileged"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": made}


def secrets(*, has_identity: bool) -> list[dict[str, Any]]:
    """Secrets whose contents are made, not configured. The identity is the hub's alone."""
    tls = {
        name: {"tls.crt": Material(f"{who}.crt"), "tls.key": Material(f"{who}.key"), "ca.crt": Material("ca.crt")}
        for name, who in ((TLS_HUB, "hub"), (TLS_WORKER, "worker"))
    }
    made = [
        _secret(TOKEN, "hub", "Opaque", {"token": Material("token")}),
        _secret(TLS_HUB, "hub", "kubernetes.io/tls", tls[TLS_HUB]),
        _secret(TLS_WORKER, "worker", "kubernetes.io/tls", tls[TLS_WORKER]),
    ]
    if has_identity:
        made.append(_secret(IDENTITY, "hub", "Opaque", {"identity.age": Material("identity")}))
    return made


def objects() -> list[Any]:
    """Everything else."""
    return [
        When(Setting("firewall.enabled"), policy_kind()),
        *accounts(),
        *roles(),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata(CONFIG, "hub"),
            "data": {"kubeshark.yaml": CONFIGURATION},
        },
        *_claims(),
        *_services(),
        *_policies(),
        *_workloads(),
        When(Setting("tap.ingress.enabled"), _ingress()),
    ]


def manifests(settings: Settings, materials: dict[str, str], version: str) -> list[dict[str, Any]]:
    """Return the objects for these settings; raise UsageError for what no object can be made of.

    `materials` are what `_material.py` gives; with "identity" among them the hub's Secret is made, too.
    """
    trees = [namespace(), *secrets(has_identity="identity" in materials), *objects()]
    return render(trees, scope_of(settings, version, materials))


def render(trees: list[Any], scope: Scope) -> list[dict[str, Any]]:
    """Return the plain objects of trees."""
    made: list[dict[str, Any]] = evaluate(trees, scope)
    return made


def _secret(name: str, component: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name, component), "type": kind, "data": data}


def _claims() -> list[Any]:
    """With tap.persistentStorage: the hub's own store, and one volume in which every node has a folder."""

    def claim(name: str, component: str, mode: str) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata(name, component),
            "spec": {
                "accessModes": [mode],
                "volumeMode": "Filesystem",
                "storageClassName": When(Setting("tap.storageClass"), Setting("tap.storageClass")),
                "resources": {"requests": {"storage": Setting("tap.storageLimit")}},
            },
        }

    persistent = Setting("tap.persistentStorage")
    static = Setting("tap.persistentStorageStatic")
    return [
        When(persistent, When(Not(static), claim(HUB_CLAIM, "hub", "ReadWriteOnce"))),
        When(persistent, When(Not(static), claim(WORKER_CLAIM, "worker", "ReadWriteMany"))),
    ]


def _services() -> list[dict[str, Any]]:
    def service(name: str, component: str, port: int, **more: Any) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(name, component),
            "spec": {
                "selector": selector(component),
                "ports": [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}],
                **more,
            },
        }

    return [
        service(HUB, "hub", HUB_PORT),
        service(FRONT, "front", FRONT_PORT),
        # without an address of its own: its name has those of all workers, and the hub asks each
        service(WORKER, "worker", WORKER_PORT, clusterIP="None", publishNotReadyAddresses=True),
    ]


def _policies() -> list[dict[str, Any]]:
    """Who may open a connection to whom. Workers are in their nodes' network, which no policy covers: TLS does."""

    def policy(name: str, component: str, ingress: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata(name, component),
            "spec": {
                "podSelector": {"matchLabels": selector(component)},
                "policyTypes": ["Ingress"],
                "ingress": ingress,
            },
        }

    def port(number: int) -> list[dict[str, Any]]:
        return [{"port": number, "protocol": "TCP"}]

    front = {"podSelector": {"matchLabels": selector("front")}}
    hub = {"podSelector": {"matchLabels": selector("hub")}}
    return [
        policy(HUB, "hub", [{"from": [front], "ports": port(HUB_PORT)}]),
        policy(FRONT, "front", [{"ports": port(FRONT_PORT)}]),
        policy(WORKER, "worker", [{"from": [hub], "ports": port(WORKER_PORT)}]),
    ]


def _workloads() -> list[dict[str, Any]]:
    def deployment(name: str, component: str, template: dict[str, Any], strategy: str) -> dict[str, Any]:
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata(name, component),
            "spec": {
                "replicas": 1,
                "strategy": {"type": strategy},
                "selector": {"matchLabels": selector(component)},
                "template": template,
            },
        }

    return [
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": metadata(WORKER, "worker"),
            "spec": {
                "selector": {"matchLabels": selector("worker")},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
                "template": worker_template(),
            },
        },
        deployment(HUB, "hub", hub_template(), "Recreate"),  # two hubs would write one store
        deployment(FRONT, "front", front_template(), "RollingUpdate"),
    ]


def _ingress() -> dict[str, Any]:
    made = metadata(FRONT, "front")
    annotations = Setting("tap.ingress.annotations")
    made["annotations"] = {**made["annotations"], Spread(annotations): None}
    backend = {"service": {"name": FRONT, "port": {"number": FRONT_PORT}}}
    path = {"path": Setting("tap.ingress.path"), "pathType": "Prefix", "backend": backend}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": made,
        "spec": {
            "ingressClassName": When(Setting("tap.ingress.className"), Setting("tap.ingress.className")),
            "rules": [
                {
                    "host": When(Setting("tap.ingress.host"), Setting("tap.ingress.host")),
                    "http": {"paths": [path]},
                }
            ],
            "tls": When(
                Setting("tap.ingress.tls"),
                [Each(Setting("tap.ingress.tls"), {"hosts": Item("hosts"), "secretName": Item("secretName")})],
            ),
        },
    }
