"""What is deployed, without a server: who may what, who holds which secret, and that hub and worker start from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubeshark.cli._configured import configuration
from kubeshark.cli._main import build_parser
from kubeshark.cli._schedules import schedules
from kubeshark.cluster import HUB_GRANTS
from kubeshark.errors import UsageError
from kubeshark.settings import Windows, load, value_of
from tests.cluster._settings import MANY, RECIPIENT, by_name, objects

WORKLOADS = [("Deployment", "kubeshark-hub"), ("Deployment", "kubeshark-front"), ("DaemonSet", "kubeshark-worker")]


def pod(made: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = by_name(made)[kind, name]["spec"]["template"]["spec"]
    return spec


def container(made: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    [one] = pod(made, kind, name)["containers"]
    return dict(one)


@pytest.mark.parametrize("overrides", [(), MANY])
def test_everything_is_labelled_and_in_the_namespace(overrides: tuple[str, ...]) -> None:
    for each in objects(*overrides):
        meta = each["metadata"]
        assert meta["labels"]["kubeshark.io/release"] == "kubeshark"
        assert meta["labels"]["kubeshark.io/namespace"] == "shark"
        assert meta["labels"]["app.kubernetes.io/managed-by"] == "kubeshark"
        assert (meta.get("namespace") == "shark") == (
            each["kind"] not in ("Namespace", "ClusterRole", "ClusterRoleBinding")
        )


def test_the_identity_is_the_hubs_alone_and_nobody_mounts_more_than_its_own() -> None:
    mounted = {
        name: {
            volume["secret"]["secretName"]
            for volume in pod(objects(*MANY), kind, name)["volumes"]
            if "secret" in volume
        }
        for kind, name in WORKLOADS
    }
    assert mounted == {
        "kubeshark-hub": {"kubeshark-identity", "kubeshark-token", "kubeshark-hub-tls"},
        "kubeshark-worker": {"kubeshark-worker-tls"},
        "kubeshark-front": set(),
    }


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
@pytest.mark.parametrize("overrides", [(), MANY])
def test_nothing_is_privileged(kind: str, name: str, overrides: tuple[str, ...]) -> None:
    context = container(objects(*overrides), kind, name)["securityContext"]
    assert context["privileged"] is False
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"]["drop"] == ["ALL"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    if name != "kubeshark-worker":
        assert context["runAsNonRoot"] is True
        assert "add" not in context["capabilities"]


def test_capabilities_are_named_by_what_is_captured() -> None:
    def added(*overrides: str) -> list[str]:
        found: list[str] = container(objects(*overrides), "DaemonSet", "kubeshark-worker")["securityContext"][
            "capabilities"
        ]["add"]
        return found

    assert added() == ["NET_RAW", "NET_ADMIN"]
    assert "SYS_PTRACE" in added("tap.tls=true")
    assert added("tap.securityContext.capabilities.networkCapture=NET_RAW") == ["NET_RAW"]


def test_the_hub_only_reads_and_the_others_ask_nothing() -> None:
    made = by_name(objects())
    assert {verb for grant in HUB_GRANTS for verb in grant.verbs} == {"get", "list", "watch"}
    assert "secrets" not in {grant.resource for grant in HUB_GRANTS}
    assert [kind for kind, _ in made if "Role" in kind] == ["ClusterRole", "ClusterRoleBinding"]
    [subject] = made["ClusterRoleBinding", "kubeshark-hub-shark"]["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "kubeshark-hub", "namespace": "shark"}
    for kind, name in WORKLOADS:
        assert pod(objects(), kind, name)["automountServiceAccountToken"] is (name == "kubeshark-hub")


def test_the_configuration_comes_back(tmp_path: Path) -> None:
    """What hub and worker mount says what was set."""
    text = by_name(objects(*MANY))["ConfigMap", "kubeshark-config"]["data"]["kubeshark.yaml"]
    (tmp_path / "kubeshark.yaml").write_text(text)
    loaded = load(tmp_path / "kubeshark.yaml", {})
    assert loaded.warnings == ()
    assert value_of(loaded.settings, "store.recipients") == (RECIPIENT,)
    assert loaded.settings.tap.bpf_override == 'tcp port 80 and not host "x<y" & {{ .Values }}'
    assert loaded.settings.capture.schedules[0].duration.seconds == 1800


@pytest.mark.parametrize("overrides", [(), MANY])
@pytest.mark.parametrize(("kind", "name"), [WORKLOADS[0], WORKLOADS[2]])
def test_the_commands_take_what_the_pods_give(kind: str, name: str, overrides: tuple[str, ...]) -> None:
    one = container(objects(*overrides), kind, name)
    assert one["command"] == ["kubeshark"]
    words = [word.replace("$(NODE_NAME)", "node-1").replace("$(HOST_IP)", "fd00::1") for word in one["args"]]
    args = build_parser(words[0]).parse_args(words)
    if words[0] == "worker":
        assert args.node == "node-1"
        assert args.max_bytes == 10 << 30
        assert args.interface == ([] if overrides else ["any"])
    else:
        assert args.workers_of == "kubeshark-worker:8897"
        assert args.worker_name == "kubeshark-worker"


def test_a_changed_setting_replaces_pods_and_the_same_does_not() -> None:
    def digest(*overrides: str) -> str:
        made = by_name(objects(*overrides))["DaemonSet", "kubeshark-worker"]
        text: str = made["spec"]["template"]["metadata"]["annotations"]["kubeshark.io/config"]
        return text

    assert digest() == digest() != digest("tap.regex=cart")
    nightly = 'capture.schedules=[{name: nightly, cron: "0 0 2 * * *", duration: 30m}]'
    assert digest() != digest(nightly) != digest(nightly, "timezone=Europe/Berlin")


def test_schedules_reach_workers_and_go_again(tmp_path: Path) -> None:
    def windows(*overrides: str) -> Windows | None:
        document = by_name(objects(*overrides))["ConfigMap", "kubeshark-config"]
        path = tmp_path / "kubeshark.yaml"
        path.write_text(document["data"]["kubeshark.yaml"])
        configuration.begin(str(path), [])
        return schedules()

    nightly = 'capture.schedules=[{name: nightly, cron: "0 0 2 * * *", duration: 30m, filter: "port 80"}]'
    found = windows(nightly, "timezone=Europe/Berlin")
    assert found is not None
    assert found.at(3_600.0).filters == ("port 80",)  # 02:00 CET in 1970
    assert windows() is None


def test_pods_are_chosen_by_the_hub_unless_a_filter_replaces_that() -> None:
    def arguments(*overrides: str) -> list[str]:
        made = by_name(objects(*overrides))["DaemonSet", "kubeshark-worker"]
        found: list[str] = made["spec"]["template"]["spec"]["containers"][0]["args"]
        return found

    assert "--hub-selects" in arguments() and "--filter" not in arguments()
    replaced = arguments("tap.bpfOverride=port 80")
    assert "--hub-selects" not in replaced
    assert replaced[replaced.index("--filter") + 1] == "port 80"


def test_images_are_those_that_are_released(root: Path) -> None:
    for kind, name in WORKLOADS:
        image = name.removeprefix("kubeshark-")
        version = (root / "deploy" / "images" / image / "VERSION").read_text().strip()
        assert container(objects(), kind, name)["image"] == f"kubeshark/{image}:{version}"
        assert f"\n## {version}\n" in (root / "deploy" / "images" / image / "CHANGELOG.md").read_text()


def test_claims_only_where_they_are_asked_for() -> None:
    def claims(*overrides: str) -> list[str]:
        return [each["metadata"]["name"] for each in objects(*overrides) if each["kind"] == "PersistentVolumeClaim"]

    assert claims() == []
    assert claims("tap.persistentStorage=true") == ["kubeshark-hub", "kubeshark-captures"]
    assert claims("tap.persistentStorage=true", "tap.persistentStorageStatic=true") == []
    [state] = [each for each in pod(objects(), "DaemonSet", "kubeshark-worker")["volumes"] if each["name"] == "state"]
    assert state["emptyDir"] == {}, "a size limit would have the node evict the pod"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("tap.labels.kubeshark.io/release=x", "finds its own objects"),
        ("tap.ingress.enabled=true", "tap.ingress.host"),
        ("tap.persistentStoragePvcVolumeMode=Block", "block volume"),
    ],
)
def test_what_no_object_can_be_made_of(override: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        objects(override)
