"""Makes a cluster as a list of objects says, and undoes it.

1. An object of ours has our labels; another one by that name is never touched, and is an error.
2. Applying what is there already changes nothing: no resourceVersion moves.
3. What we made once and do not want any more goes, except claims: they hold captures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubeshark.cluster._client import KINDS, Cluster
from kubeshark.cluster._names import LABEL_MANAGER, LABEL_NAMESPACE, LABEL_RELEASE, MANAGER, owned_selector
from kubeshark.cluster._policy_kind import CRD, POLICY
from kubeshark.errors import ClusterError

__all__ = ["Deployment", "is_ours"]

CLAIM, NAMESPACE = "PersistentVolumeClaim", "Namespace"
PRUNED = (
    "Ingress", "Deployment", "DaemonSet", "NetworkPolicy", "Service", "ConfigMap", "Secret", "ClusterRoleBinding",
    "ClusterRole", "ServiceAccount",
)  # fmt: skip
"""Kinds of ours in the order in which they go: nobody loses an account or a Secret while it runs."""

LEFT_BY_KUBERNETES = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}

Say = Callable[[str], None]


def is_ours(obj: Mapping[str, Any], release: str, namespace: str) -> bool:
    """Say whether `kubeshark tap` made an object for this release."""
    found = obj.get("metadata", {}).get("labels") or {}
    wanted = {LABEL_MANAGER: MANAGER, LABEL_RELEASE: release, LABEL_NAMESPACE: namespace}
    return all(found.get(name) == value for name, value in wanted.items())


@dataclass(frozen=True, slots=True)
class Deployment:
    """One release in one namespace. `say` hears a line for each object."""

    cluster: Cluster
    release: str
    namespace: str
    say: Say

    def apply(self, objects: Sequence[Mapping[str, Any]]) -> int:
        """Make these objects so, in order; return how many changed.

        Raise ClusterError at the first that is refused; those before it stay, and the next run goes on.
        """
        changed = 0
        for obj in objects:
            kind, meta = obj["kind"], obj["metadata"]
            before = self.cluster.get(kind, meta.get("namespace", ""), meta["name"])
            if before is not None and not is_ours(before, self.release, self.namespace):
                if kind in (NAMESPACE, CRD):  # one for the cluster, whoever made it
                    self._said("there", obj)
                    continue
                raise ClusterError(
                    f"{kind} {meta['name']} is there already and was not made by this release",
                    hint="delete it, or choose another namespace with -s",
                )
            if before is not None and before["metadata"].get("deletionTimestamp"):
                raise ClusterError(f"{kind} {meta['name']} is being deleted", hint="try again when it is gone")
            if kind == CLAIM and before is not None and _has(before, obj):
                self._said("unchanged", obj)  # applied again, a claim gets another version with nothing else new
                continue
            try:
                after = self.cluster.apply(obj)
            except ClusterError as error:
                raise ClusterError(
                    f"{kind} {meta['name']}: {error.message}", status=error.status, hint=error.hint
                ) from error
            is_same = before is not None and _version(before) == _version(after)
            changed += not is_same
            self._said("created" if before is None else "unchanged" if is_same else "changed", obj)
        return changed + self._prune(objects)

    def _prune(self, wanted: Iterable[Mapping[str, Any]]) -> int:
        names = {(obj["kind"], obj["metadata"]["name"]) for obj in wanted}
        gone = 0
        for obj in self._owned(PRUNED):
            if (obj["kind"], obj["metadata"]["name"]) not in names:
                gone += self._delete(obj)
        return gone

    def clean(self, *, keep_captures: bool) -> int:
        """Delete everything of this release, and the namespace if we made it and nobody else uses it."""
        gone = 0
        for obj in self._owned(PRUNED if keep_captures else (*PRUNED, CLAIM)):
            gone += self._delete(obj)
        gone += self._clean_policies()
        made = self.cluster.get(NAMESPACE, "", self.namespace)
        if made is None or not is_ours(made, self.release, self.namespace) or made["metadata"].get("deletionTimestamp"):
            return gone
        if others := self._others():
            are = "is" if len(others) == 1 else "are"
            self.say(f"Namespace {self.namespace} stays: {', '.join(others[:5])} {are} not ours")
        else:
            gone += self._delete({**made, "kind": NAMESPACE})
        return gone

    def _clean_policies(self) -> int:
        """Delete the kind FirewallPolicy if there is no such object: they are not ours, and would go with it."""
        gone = 0
        for kind in self._owned((CRD,)):
            if any(self.cluster.list(POLICY)):
                self.say(f"{CRD} {kind['metadata']['name']} stays: there are policies, which would go with it")
            else:
                gone += self._delete(kind)
        return gone

    def _owned(self, kinds: Iterable[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        selector = owned_selector(self.release, self.namespace)
        for kind in kinds:
            within = self.namespace if KINDS[kind].is_namespaced else ""
            found += ({**each, "kind": kind} for each in self.cluster.list(kind, within, selector=selector))
        return found

    def _delete(self, obj: Mapping[str, Any]) -> bool:
        meta = obj["metadata"]
        if meta.get("deletionTimestamp"):
            return False
        is_gone = self.cluster.delete(obj["kind"], meta.get("namespace", ""), meta["name"], uid=meta["uid"])
        if is_gone:
            self._said("deleted", obj)
        return is_gone

    def _others(self) -> list[str]:
        """Return what else lies in the namespace, of every kind that the server knows and that can be listed."""
        found = []
        for path, resource in self._namespaced():
            if resource["kind"] in ("Event", "Lease", "EndpointSlice", "Endpoints", "ReplicaSet", "ControllerRevision"):
                continue  # made by controllers, and gone with what they are for
            page = self.cluster.json("GET", f"{path}/namespaces/{self.namespace}/{resource['name']}")
            for obj in page.get("items") or ():
                meta = obj["metadata"]
                is_left = (resource["kind"], meta["name"]) in LEFT_BY_KUBERNETES or meta.get("deletionTimestamp")
                if not is_left and not is_ours(obj, self.release, self.namespace) and not _is_stopping(obj):
                    found.append(f"{resource['kind']} {meta['name']}")
                elif not is_left and resource["kind"] == CLAIM:
                    found.append(f"{CLAIM} {meta['name']}, with captures,")
        return found

    def _namespaced(self) -> list[tuple[str, dict[str, Any]]]:
        groups = self.cluster.json("GET", "/apis").get("groups") or ()
        paths = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
        found: list[tuple[str, dict[str, Any]]] = []
        for path in paths:
            try:
                resources = self.cluster.json("GET", path).get("resources") or ()
            except ClusterError as error:
                if error.status in (404, 503):  # an aggregated API whose server is away
                    continue
                raise
            found += (
                (path, each)
                for each in resources
                if each["namespaced"] and "/" not in each["name"] and {"list", "delete"} <= set(each["verbs"])
            )
        return found

    def _said(self, what: str, obj: Mapping[str, Any]) -> None:
        self.say(f"{what:<9}  {obj['kind']} {obj['metadata']['name']}")


def _version(obj: Mapping[str, Any]) -> Any:
    return obj["metadata"]["resourceVersion"]


def _has(found: Any, wanted: Any) -> bool:
    """Say whether an object says all that is wanted of it."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_has(found.get(name), value) for name, value in wanted.items())
    return bool(found == wanted)


def _is_stopping(obj: Mapping[str, Any]) -> bool:
    """A pod of ours has no manager's label of its own release once its owner is gone; its owner says whose it is."""
    return any(owner.get("controller") for owner in obj["metadata"].get("ownerReferences") or ())
