"""Which pods are captured: by namespace and name, the exclusion first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubeshark.cluster._client import Cluster
from kubeshark.cluster._names import LABEL_RELEASE
from kubeshark.errors import ClusterError, UsageError
from kubeshark.settings import Settings

__all__ = ["PodChoice", "Target", "has_ended", "target_of", "targets"]


@dataclass(frozen=True, slots=True, order=True)
class Target:
    namespace: str
    name: str
    node: str  # "" where it is not scheduled
    addresses: tuple[str, ...]
    shares_node: bool = False  # its addresses are the node's: it cannot be told from others there


class PodChoice:
    """What settings say of pods. Raises UsageError for what is no regular expression."""

    def __init__(self, settings: Settings) -> None:
        import re2  # type: ignore[import-untyped]

        options = re2.Options()
        options.log_errors = False
        tap = settings.tap
        try:
            self._name = re2.compile(tap.regex, options=options)
        except re2.error as error:
            raise UsageError(f"tap.regex {tap.regex[:100]!r} is no regular expression: {error}") from None
        self._namespaces, self._excluded = frozenset(tap.namespaces), frozenset(tap.excluded_namespaces)
        self._takes_own = tap.capture.capture_self

    def chooses(self, pod: Mapping[str, Any]) -> bool:
        """Say whether an object of kind Pod is captured, whatever became of it."""
        meta = pod["metadata"]
        namespace = meta["namespace"]
        if namespace in self._excluded or (self._namespaces and namespace not in self._namespaces):
            return False
        if LABEL_RELEASE in (meta.get("labels") or {}) and not self._takes_own:
            return False
        return bool(self._name.search(meta["name"]))


def has_ended(pod: Mapping[str, Any]) -> bool:
    """Say whether a pod will never send again: its address may be another's."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def target_of(pod: Mapping[str, Any]) -> Target:
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    addresses = tuple(each["ip"] for each in status.get("podIPs") or () if each.get("ip"))
    return Target(meta["namespace"], meta["name"], spec.get("nodeName", ""), addresses, bool(spec.get("hostNetwork")))


def targets(cluster: Cluster, settings: Settings) -> list[Target]:
    """Return the pods that the settings choose and that have not ended, sorted.

    Raise UsageError for what is no regular expression or a namespace that is not there.
    """
    choice = PodChoice(settings)
    excluded = set(settings.tap.excluded_namespaces)
    for namespace in settings.tap.namespaces:
        if namespace not in excluded and cluster.get("Namespace", "", namespace) is None:
            raise ClusterError(f"there is no namespace {namespace!r}", hint="see -n and tap.namespaces")
    pods = _pods(cluster, settings.tap.namespaces)
    return sorted(target_of(pod) for pod in pods if choice.chooses(pod) and not has_ended(pod))


def _pods(cluster: Cluster, namespaces: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for namespace in dict.fromkeys(namespaces) or [""]:
        yield from cluster.list("Pod", namespace)
