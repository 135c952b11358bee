"""Which pods are captured: by namespace and name, the exclusion first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kubeshark.cluster._client import Cluster
from kubeshark.cluster._names import LABEL_RELEASE
from kubeshark.errors import ClusterError, UsageError
from kubeshark.settings import Settings

__all__ = ["Target", "targets"]


@dataclass(frozen=True, slots=True, order=True)
class Target:
    namespace: str
    name: str
    node: str  # "" where it is not scheduled
    addresses: tuple[str, ...]
    shares_node: bool = False  # its addresses are the node's: it cannot be told from others there


def targets(cluster: Cluster, settings: Settings) -> list[Target]:
    """Return the pods that the settings choose and that have not ended, sorted.

    Raise UsageError for what is no regular expression or a namespace that is not there.
    """
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    try:
        chosen = re2.compile(settings.tap.regex, options=options)
    except re2.error as error:
        raise UsageError(f"tap.regex {settings.tap.regex[:100]!r} is no regular expression: {error}") from None
    excluded = set(settings.tap.excluded_namespaces)
    for namespace in settings.tap.namespaces:
        if namespace not in excluded and cluster.get("Namespace", "", namespace) is None:
            raise ClusterError(f"there is no namespace {namespace!r}", hint="see -n and tap.namespaces")
    found = []
    for pod in _pods(cluster, settings.tap.namespaces):
        meta, status = pod["metadata"], pod.get("status") or {}
        is_own = LABEL_RELEASE in (meta.get("labels") or {}) and not settings.tap.capture.capture_self
        if meta["namespace"] in excluded or is_own or status.get("phase") in ("Succeeded", "Failed"):
            continue
        if chosen.search(meta["name"]):
            found.append(_target(pod))
    return sorted(found)


def _pods(cluster: Cluster, namespaces: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for namespace in dict.fromkeys(namespaces) or [""]:
        yield from cluster.list("Pod", namespace)


def _target(pod: dict[str, Any]) -> Target:
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    addresses = tuple(each["ip"] for each in status.get("podIPs") or () if each.get("ip"))
    return Target(meta["namespace"], meta["name"], spec.get("nodeName", ""), addresses, bool(spec.get("hostNetwork")))
