"""Looks before `tap` does: is the cluster there, and would it take what we would make? Nothing is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kubeshark.cluster._apply import CLAIM, NAMESPACE, PRUNED
from kubeshark.cluster._check import Check
from kubeshark.cluster._client import KINDS, Cluster
from kubeshark.cluster._node_checks import node_checks
from kubeshark.cluster._pods import CLIENT_SECRET_ENTRY
from kubeshark.cluster._policy_kind import CRD
from kubeshark.errors import ClusterError
from kubeshark.settings import Settings

__all__ = ["run_checks"]

OLDEST = (1, 30)
"""The first with AppArmor profiles as fields; what the chart asks for, too."""

VERBS = ("get", "list", "create", "patch", "delete")
ADMISSION = "pod-security.kubernetes.io/enforce"


def run_checks(cluster: Cluster, settings: Settings) -> Iterator[Check]:
    """Give the checks of a cluster; those after one that cannot be reached are left out."""
    try:
        found = cluster.json("GET", "/version")
    except ClusterError as error:
        yield Check("cluster", "fail", error.message, error.hint)
        return
    yield _version(cluster, found)
    yield from _permissions(cluster, settings)
    yield _admission(cluster, settings)
    if settings.tap.persistent_storage and not settings.tap.persistent_storage_static:
        yield _storage(cluster, settings.tap.storage_class)
    yield from _secrets(cluster, settings)
    yield from node_checks(cluster)


def _version(cluster: Cluster, found: dict[str, Any]) -> Check:
    shown = str(found.get("gitVersion", "?"))[:40]
    digits = ["".join(filter(str.isdigit, str(found.get(part, "")))) or "0" for part in ("major", "minor")]
    if tuple(map(int, digits)) < OLDEST:
        return Check("cluster", "fail", f"{cluster.host} is {shown}", f"needs {OLDEST[0]}.{OLDEST[1]} or later")
    return Check("cluster", "ok", f"{cluster.host} is {shown}")


def _permissions(cluster: Cluster, settings: Settings) -> Iterator[Check]:
    """Ask verb by verb; one row for a kind."""
    namespace = settings.tap.release.namespace
    for name in (NAMESPACE, *((CRD,) if settings.firewall.enabled else ()), *reversed(PRUNED), CLAIM):
        kind = KINDS[name]
        group = kind.api.rpartition("/")[0]
        within = namespace if kind.is_namespaced else ""
        try:
            lacking = [verb for verb in VERBS if not cluster.may(verb, group, kind.plural, within)]
        except ClusterError as error:
            yield Check(f"may {kind.plural}", "fail", error.message, error.hint)
            return
        if lacking:
            where = f" in namespace {within}" if within else " in the cluster"
            remedy = f"an administrator grants {', '.join(lacking)} on {kind.plural}{f'.{group}' if group else ''}"
            yield Check(f"may {kind.plural}", "fail", f"{', '.join(lacking)}: not allowed{where}", remedy)
        else:
            yield Check(f"may {kind.plural}", "ok", ", ".join(VERBS))


def _admission(cluster: Cluster, settings: Settings) -> Check:
    name = settings.tap.release.namespace
    try:
        found = cluster.get("Namespace", "", name)
    except ClusterError as error:
        return Check("namespace", "fail", error.message, error.hint)
    if found is None:
        return Check("namespace", "ok", f"{name} will be made")
    if found["metadata"].get("deletionTimestamp"):
        return Check(
            "namespace", "fail", f"{name} is being deleted", "wait until it is gone, or choose another with -s"
        )
    level = (found["metadata"].get("labels") or {}).get(ADMISSION, "privileged")
    if level != "privileged":
        remedy = f"kubectl label namespace {name} {ADMISSION}=privileged, or choose another with -s"
        return Check(
            "namespace", "fail", f"{name} admits {level} pods; workers capture in their node's network", remedy
        )
    return Check("namespace", "ok", f"{name} admits workers")


def _storage(cluster: Cluster, name: str) -> Check:
    try:
        classes = {each["metadata"]["name"] for each in cluster.list("StorageClass")}
    except ClusterError as error:
        return Check("storage class", "warn", f"cannot be looked up: {error.message}")
    if name in classes:
        return Check("storage class", "ok", name)
    there = f"there are {', '.join(sorted(classes)[:5])}" if classes else "there is none"
    return Check("storage class", "fail", f"there is no {name!r}: {there}", "choose one with --storageClass")


def _secrets(cluster: Cluster, settings: Settings) -> Iterator[Check]:
    """The Secrets that settings name must be there: pods wait for them without a word."""
    tap = settings.tap
    client = tap.auth.oidc.secret
    own = (client,) if client else ()
    for name in dict.fromkeys((*tap.secrets, *tap.snapshots.cloud.secrets, *tap.docker.image_pull_secrets, *own)):
        try:
            found = cluster.get("Secret", tap.release.namespace, name)
        except ClusterError as error:
            yield Check(f"secret {name}", "warn", f"cannot be looked up: {error.message}")
            continue
        if found is None:
            remedy = f"kubectl -n {tap.release.namespace} create secret generic {name} …"
            yield Check(f"secret {name}", "fail", f"is not in namespace {tap.release.namespace}", remedy)
        elif name == client and CLIENT_SECRET_ENTRY not in (found.get("data") or {}):
            remedy = f"kubectl create secret generic {name} --from-file={CLIENT_SECRET_ENTRY}=FILE makes one"
            yield Check(f"secret {name}", "fail", f"has no entry {CLIENT_SECRET_ENTRY}", remedy)
        else:
            yield Check(f"secret {name}", "ok", "is there")
