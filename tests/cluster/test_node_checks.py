"""What is said of nodes, as a real API server has them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from kubeshark.cluster import Check, Cluster
from kubeshark.cluster._client import KINDS
from kubeshark.cluster._node_checks import LEASES, node_checks
from tests.cluster._server import ApiServer, api_server, make, set_status


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One of our own: nodes are everybody's."""
    with api_server(tmp_path_factory.mktemp("api")) as server:
        if server.open().get("Namespace", "", LEASES) is None:
            make(server.open(), "Namespace", LEASES)
        yield server


@pytest.fixture
def cluster(api: ApiServer) -> Iterator[Cluster]:
    found = api.open()
    yield found
    for node in list(found.list("Node")):
        found.delete("Node", "", node["metadata"]["name"], uid=node["metadata"]["uid"])


def node(cluster: Cluster, *, ahead_s: float | None = 0.0, ready: bool = True, **info: str) -> str:
    """Make a node as its kubelet would; its clock is ahead of ours."""
    name = f"node-{secrets.token_hex(3)}"
    make(cluster, "Node", name)
    told = {"kernelVersion": "6.1.0-18-amd64", "operatingSystem": "linux", "architecture": "amd64", **info}
    about = {
        **dict.fromkeys(("machineID", "systemUUID", "bootID", "osImage", "containerRuntimeVersion"), "x"),
        **dict.fromkeys(("kubeletVersion", "kubeProxyVersion"), "v1"),
        **told,
    }
    now = datetime.now(UTC).isoformat()
    condition = {"type": "Ready", "status": "True" if ready else "Unknown", "reason": "x", "message": "x"}
    times = {"lastHeartbeatTime": now[:19] + "Z", "lastTransitionTime": now[:19] + "Z"}
    set_status(cluster, "Node", "", name, nodeInfo=about, conditions=[condition | times])
    if ahead_s is not None:
        make(cluster, "Lease", name, LEASES, spec={"holderIdentity": name, "renewTime": stamp(ahead_s)})
    return name


def stamp(ahead_s: float) -> str:
    when = datetime.now(UTC) + timedelta(seconds=ahead_s)
    return f"{when:%Y-%m-%dT%H:%M:%S.%f}Z"


def rows(cluster: Cluster) -> dict[str, Check]:
    return {each.name: each for each in node_checks(cluster)}


def test_all_is_well(cluster: Cluster) -> None:
    node(cluster)
    node(cluster, kernelVersion="5.15.0", architecture="arm64")
    node(cluster, operatingSystem="windows", kernelVersion="10.0.20348")
    found = rows(cluster)
    assert {each.state for each in found.values()} == {"ok"}, found
    assert found["nodes"].said == "2 ready"
    assert found["kernels"].said == "5.15.0, 6.1.0-18-amd64"
    assert found["architectures"].said == "amd64, arm64"
    assert found["clocks"].said == "2 of 2 nodes within 2 s of the API server"


def test_what_is_in_the_way(cluster: Cluster) -> None:
    away = node(cluster, ready=False)
    old = node(cluster, kernelVersion="3.10.0-1160.el7")
    other = node(cluster, architecture="s390x")
    ahead, behind = node(cluster, ahead_s=60), node(cluster, ahead_s=-60)
    found = rows(cluster)
    assert (found["nodes"].state, found["nodes"].said) == ("warn", f"not ready: {away}")
    assert (found["kernels"].state, found["kernels"].said) == ("fail", f"too old: {old} (3.10.0-1160.el7)")
    assert (found["architectures"].state, found["architectures"].said) == ("warn", f"{other} (s390x)")
    clocks = found["clocks"]
    assert clocks.state == "fail"
    assert set(clocks.said.replace(",", "").split()) >= {ahead, behind, "ahead", "behind"}
    assert away not in clocks.said


def test_a_lease_that_is_renewed_tells_the_time_now(cluster: Cluster) -> None:
    name = node(cluster, ahead_s=60)
    assert rows(cluster)["clocks"].state == "fail"
    path = KINDS["Lease"].path(LEASES, name)
    cluster.json("PATCH", path, body={"spec": {"renewTime": stamp(0)}}, content="application/merge-patch+json")
    assert rows(cluster)["clocks"].state == "ok"


def test_nodes_that_say_nothing_and_none_at_all(cluster: Cluster, api: ApiServer) -> None:
    assert rows(cluster)["nodes"].said == "there is none that runs Linux"
    make(cluster, "Node", "silent")
    found = rows(cluster)
    assert [found[row].state for row in ("nodes", "kernels", "architectures", "clocks")] == ["warn", "ok", "ok", "warn"]
    assert rows(api.open("viewer"))["nodes"].state == "warn"


def test_many_are_not_all_listed(cluster: Cluster) -> None:
    for _ in range(8):
        node(cluster, ahead_s=None, kernelVersion="4.4.0")
    assert rows(cluster)["kernels"].said.endswith(" and 3 more")
