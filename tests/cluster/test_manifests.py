"""What is deployed, without a server: who may what, who holds which secret, and that hub and worker start from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubeshark.cli._main import build_parser
from kubeshark.cli.options._configured import configuration
from kubeshark.cli.options._schedules import schedules
from kubeshark.cluster import HUB_GRANTS
from kubeshark.errors import UsageError
from kubeshark.settings import Windows, load, value_of
from tests.cluster._settings import CLOUD, MANY, RECIPIENT, ROLE, by_name, objects

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
        "kubeshark-hub": {"kubeshark-identity", "kubeshark-token", "kubeshark-hub-tls", "oidc-client"},
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
    assert added("tap.tls=true") == ["NET_RAW", "NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"]
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


def test_the_firewall_where_it_is_on() -> None:
    off, on = by_name(objects()), by_name(objects("firewall.enabled=true", "firewall.failMode=closed"))
    assert on.keys() - off.keys() == {("CustomResourceDefinition", "firewallpolicies.kubeshark.io")}
    [container] = on["DaemonSet", "kubeshark-worker"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][-2:] == ["--firewall", "/var/lib/kubeshark/firewall"]
    assert container["securityContext"]["capabilities"]["add"] == ["NET_RAW", "NET_ADMIN", "BPF", "PERFMON"]
    assert not container["securityContext"]["privileged"]
    assert {"name": "pins", "mountPath": "/sys/fs/bpf"} in container["volumeMounts"]
    [hub] = on["Deployment", "kubeshark-hub"]["spec"]["template"]["spec"]["containers"]
    assert "--kube-policies" in hub["args"]
    granted = [rule["resources"][0] for rule in on["ClusterRole", "kubeshark-hub-shark"]["rules"]]
    assert granted[-2:] == ["firewallpolicies", "firewallpolicies/status"]
    told = json.loads(on["ConfigMap", "kubeshark-config"]["data"]["kubeshark.yaml"])["firewall"]
    assert told == {"failMode": "closed", "hubs": [], "exempt": [], "defaultMode": "Audit"}
    with pytest.raises(UsageError, match=r"tap\.hostNetwork off"):
        objects("firewall.enabled=true", "tap.hostNetwork=false")


def test_probes_where_they_are_wanted_and_nothing_for_them_elsewhere() -> None:
    off, on = by_name(objects()), by_name(objects("tap.tls=true"))
    changed = {key for key in on if key[0] != "Secret" and on[key] != off[key]}
    workloads = {("ConfigMap", "kubeshark-config"), *WORKLOADS}  # hub and front are told of another configuration
    assert on.keys() == off.keys()
    assert changed == workloads, "RBAC and NetworkPolicies stay as they are"
    before, after = (made["DaemonSet", "kubeshark-worker"]["spec"]["template"]["spec"] for made in (off, on))
    [without], [container] = before["containers"], after["containers"]
    assert [word for word in container["args"] if word not in without["args"]] == ["--tls-probe", "pods"]
    assert "--hub-selects" in container["args"]
    assert "hostPID" not in before and after["hostPID"] is True
    assert [each for each in container["volumeMounts"] if each not in without["volumeMounts"]] == [
        {"name": "cgroups", "mountPath": "/sys/fs/cgroup", "readOnly": True},
        {"name": "tracing", "mountPath": "/sys/kernel/tracing", "readOnly": True},
    ]
    assert [each["hostPath"] for each in after["volumes"] if each not in before["volumes"]] == [
        {"path": "/sys/fs/cgroup", "type": "Directory"},
        {"path": "/sys/kernel/tracing", "type": "Directory"},
    ]
    assert container["securityContext"]["privileged"] is False
    with pytest.raises(UsageError, match=r"tap\.tls with tap\.bpfOverride"):
        objects("tap.tls=true", "tap.bpfOverride=port 80")


def test_a_role_for_the_archive_is_the_accounts_that_speak_to_it() -> None:
    def roles(*overrides: str) -> dict[str, str | None]:
        made = by_name(objects(*overrides))
        return {
            name: each["metadata"]["annotations"].get("eks.amazonaws.com/role-arn")
            for (kind, name), each in made.items()
            if kind == "ServiceAccount"
        }

    given = f"{CLOUD}.s3.roleArn={ROLE}"
    for place in ((f"{CLOUD}.provider=s3", f"{CLOUD}.s3.bucket=b"), ("store.url=s3://b/c",)):
        assert roles(*place, given) == {"kubeshark-hub": ROLE, "kubeshark-worker": ROLE, "kubeshark-front": None}
        assert set(roles(*place).values()) == {None}
        assert set(roles(*place, given, f"{CLOUD}.s3.externalId=lab/7").values()) == {None}  # assumed instead
        with pytest.raises(UsageError, match="externalId is none"):
            roles(*place, given, f"{CLOUD}.s3.externalId=x y")
        with pytest.raises(UsageError, match="externalId is for a role, and there is none"):
            roles(*place, f"{CLOUD}.s3.externalId=lab/7")
        for wrong in ("captures", "arn:aws:iam::1:role/x", f"{ROLE} x", "arn:aws:iam::123456789012:user/x"):
            with pytest.raises(UsageError, match="is no role"):
                roles(*place, f"{CLOUD}.s3.roleArn={wrong}")
    with pytest.raises(UsageError, match="an archive in S3, and there is none"):
        roles(given)


def test_below_a_path() -> None:
    made = by_name(objects("tap.routing.front.basePath=/shark"))
    [front] = made["Deployment", "kubeshark-front"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "KUBESHARK_BASE_PATH", "value": "/shark"} in front["env"]
    told = json.loads(made["ConfigMap", "kubeshark-config"]["data"]["kubeshark.yaml"])
    assert told["tap"]["routing"]["front"]["basePath"] == "/shark"  # the hub reads it there
    ingress = ("tap.ingress.enabled=true", "tap.ingress.host=h.test", "tap.ingress.path=/other")
    with pytest.raises(UsageError, match=r"tap\.ingress\.path '/other' does not lead to"):
        objects("tap.routing.front.basePath=/shark", *ingress)
    for path in ("shark", "/api", "/static/x", "/a b", "/..", "//"):
        with pytest.raises(UsageError, match="is no path for the page"):
            objects(f"tap.routing.front.basePath={path}")


def test_the_configuration_comes_back(tmp_path: Path) -> None:
    """What hub and worker mount says what was set."""
    text = by_name(objects(*MANY))["ConfigMap", "kubeshark-config"]["data"]["kubeshark.yaml"]
    (tmp_path / "kubeshark.yaml").write_text(text)
    loaded = load(tmp_path / "kubeshark.yaml", {})
    assert loaded.warnings == ()
    assert value_of(loaded.settings, "store.recipients") == (RECIPIENT,)
    assert loaded.settings.tap.bpf_override == 'tcp port 80 and not host "x<y" & {{ .Values }}'
    assert loaded.settings.capture.schedules[0].duration.seconds == 1800


@pytest.mark.parametrize("overrides", [(), MANY, ("tap.tls=true", "capture.interfaces=eth0")])
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
