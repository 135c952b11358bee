"""What the objects of a deployment are called, and the labels by which they are found again.

1. An object with LABEL_RELEASE and the manager "kubeshark" was made by `kubeshark tap`; nothing else is ever deleted.
2. What lies in no namespace (ClusterRoles) carries the deployment's namespace as a label, and in its name.
"""

from __future__ import annotations

from typing import Any

from kubeshark.cluster._tree import Built, Setting, Spread, Text

__all__ = [
    "CONFIG",
    "FRONT",
    "FRONT_PORT",
    "HUB",
    "HUB_PORT",
    "IDENTITY",
    "IMAGE_VERSIONS",
    "LABEL_MANAGER",
    "LABEL_NAMESPACE",
    "LABEL_RELEASE",
    "MANAGER",
    "TLS_HUB",
    "TLS_WORKER",
    "TOKEN",
    "WORKER",
    "WORKER_PORT",
    "labels",
    "metadata",
    "owned_selector",
]

MANAGER = "kubeshark"
"""Field manager of server-side apply, and the value of LABEL_MANAGER."""

LABEL_MANAGER = "app.kubernetes.io/managed-by"
LABEL_RELEASE = "kubeshark.io/release"
LABEL_NAMESPACE = "kubeshark.io/namespace"

HUB, WORKER, FRONT = "kubeshark-hub", "kubeshark-worker", "kubeshark-front"
CONFIG = "kubeshark-config"
TOKEN, IDENTITY, TLS_HUB, TLS_WORKER = (
    "kubeshark-token",
    "kubeshark-identity",
    "kubeshark-hub-tls",
    "kubeshark-worker-tls",
)
HUB_PORT, WORKER_PORT, FRONT_PORT = 8898, 8897, 8080
"""WORKER_PORT is opened on the node itself, where 8898 is Kubeshark's own."""

IMAGE_VERSIONS = {"hub": "0.2.0", "worker": "0.2.0", "front": "0.2.0"}
"""What deploy/images/NAME/VERSION says: each is released apart."""


def labels(component: str) -> dict[Any, Any]:
    """Return the labels of an object, or of a pod, by component: hub, worker, front."""
    return {
        "app.kubernetes.io/name": "kubeshark",
        "app.kubernetes.io/instance": Setting("tap.release.name"),
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/version": Built("version"),
        LABEL_MANAGER: Built("manager"),
        LABEL_RELEASE: Setting("tap.release.name"),
        LABEL_NAMESPACE: Built("namespace"),
        Spread(Setting("tap.labels")): None,
    }


def metadata(name: str, component: str, *, is_namespaced: bool = True) -> dict[Any, Any]:
    """Return the metadata of an object; what lies in no namespace has the deployment's in its name."""
    where = {"namespace": Built("namespace")} if is_namespaced else {}
    return {
        "name": name if is_namespaced else Text.of(f"{name}-", Built("namespace")),
        **where,
        "labels": labels(component),
        "annotations": {"kubeshark.io/docs": "docs/cluster.md", Spread(Setting("tap.annotations")): None},
    }


def selector(component: str) -> dict[Any, Any]:
    """Return what selects the pods of a component; it never changes in a release's life."""
    return {
        "app.kubernetes.io/name": "kubeshark",
        "app.kubernetes.io/component": component,
        LABEL_RELEASE: Setting("tap.release.name"),
    }


def owned_selector(release: str, namespace: str) -> str:
    """Return the label selector of everything `kubeshark tap` made for a release."""
    return f"{LABEL_MANAGER}={MANAGER},{LABEL_RELEASE}={release},{LABEL_NAMESPACE}={namespace}"
