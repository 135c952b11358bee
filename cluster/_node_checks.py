"""Whether the nodes of a cluster can have workers, and whether their clocks agree.

Each kubelet renews a Lease every ten seconds with its own time, and the API server notes its own beside that: by how
much they differ is known without anything running on the node.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from kubeshark.cluster._check import Check
from kubeshark.cluster._client import Cluster
from kubeshark.errors import ClusterError

__all__ = ["CLOCKS_S", "node_checks"]

OLDEST_KERNEL = (4, 19)
ARCHITECTURES = ("amd64", "arm64")
LEASES = "kube-node-lease"
CLOCKS_S = 2.0
"""As the hub has it: the same packet of two nodes is looked for that far apart."""

SHOWN = 5


def node_checks(cluster: Cluster) -> Iterator[Check]:
    """Give the checks of nodes; none where they may not be listed but one that says so."""
    try:
        nodes = sorted(cluster.list("Node"), key=lambda node: str(node["metadata"]["name"]))
    except ClusterError as error:
        yield Check("nodes", "warn", f"cannot be listed: {error.message}", error.hint)
        return
    linux = [node for node in nodes if _about(node, "operatingSystem") in ("linux", "")]
    if not linux:
        yield Check("nodes", "fail", "there is none that runs Linux", "workers run on Linux")
        return
    yield _ready(linux)
    yield _kernels(linux)
    yield _architectures(linux)
    yield _clocks(cluster, {_name(node) for node in linux})


def _ready(nodes: list[dict[str, Any]]) -> Check:
    away = [_name(node) for node in nodes if not _is_ready(node)]
    if away:
        return Check("nodes", "warn", f"not ready: {_shown(away)}", "nothing is captured there before they are")
    return Check("nodes", "ok", f"{len(nodes):,} ready")


def _kernels(nodes: list[dict[str, Any]]) -> Check:
    versions = {_name(node): _about(node, "kernelVersion") for node in nodes}
    old = [f"{name} ({version})" for name, version in versions.items() if _numbers(version) < OLDEST_KERNEL]
    if old:
        wanted = ".".join(map(str, OLDEST_KERNEL))
        return Check("kernels", "fail", f"too old: {_shown(old)}", f"capturing needs {wanted} or later")
    known = sorted({version for version in versions.values() if version}, key=_numbers)
    return Check("kernels", "ok", _shown(known) or "are not said")


def _architectures(nodes: list[dict[str, Any]]) -> Check:
    other = [
        f"{_name(node)} ({found})"
        for node in nodes
        if (found := _about(node, "architecture")) not in ("", *ARCHITECTURES)
    ]
    if other:
        remedy = f"images are for {' and '.join(ARCHITECTURES)}: leave them out with tap.nodeSelectorTerms.workers"
        return Check("architectures", "warn", _shown(other), remedy)
    return Check("architectures", "ok", _shown(sorted({_about(node, "architecture") for node in nodes} - {""})) or "?")


def _clocks(cluster: Cluster, names: set[str]) -> Check:
    try:
        leases = list(cluster.list("Lease", LEASES))
    except ClusterError as error:
        return Check("clocks", "warn", f"leases of nodes cannot be listed: {error.message}", error.hint)
    ahead = {each["metadata"]["name"]: _ahead(each) for each in leases if each["metadata"]["name"] in names}
    known = {name: seconds for name, seconds in ahead.items() if seconds is not None}
    wrong = [
        f"{name} {abs(seconds):,.1f} s {'ahead' if seconds > 0 else 'behind'}"
        for name, seconds in sorted(known.items())
        if abs(seconds) > CLOCKS_S
    ]
    if wrong:
        return Check("clocks", "fail", _shown(wrong), "let all nodes ask the same time server: chrony, timesyncd")
    if not known:
        return Check("clocks", "warn", "no node has a lease that tells", "compare them by hand")
    return Check("clocks", "ok", f"{len(known):,} of {len(names):,} nodes within {CLOCKS_S:g} s of the API server")


def _ahead(lease: dict[str, Any]) -> float | None:
    """Return by how many seconds a node's clock is ahead of the API server's, which says its own in whole ones."""
    renewed = (lease.get("spec") or {}).get("renewTime")
    noted = [
        each["time"]
        for each in lease["metadata"].get("managedFields") or ()
        if "f:renewTime" in ((each.get("fieldsV1") or {}).get("f:spec") or {}) and each.get("time")
    ]
    if not renewed or not noted:
        return None
    try:
        seconds = (datetime.fromisoformat(renewed) - datetime.fromisoformat(max(noted))).total_seconds()
    except ValueError:
        return None
    return seconds if seconds < 0 else max(seconds - 1, 0.0)  # a whole second is noted as its begin


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _about(node: dict[str, Any], what: str) -> str:
    return str(((node.get("status") or {}).get("nodeInfo") or {}).get(what) or "")[:100]


def _name(node: dict[str, Any]) -> str:
    return str(node["metadata"]["name"])


def _numbers(version: str) -> tuple[int, int]:
    found = re.match(r"(\d{1,4})\.(\d{1,4})", version)
    return (int(found[1]), int(found[2])) if found else OLDEST_KERNEL  # what is not said is not wrong


def _shown(items: Iterable[str]) -> str:
    listed = list(items)
    more = f" and {len(listed) - SHOWN:,} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
