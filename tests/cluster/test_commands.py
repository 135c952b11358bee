"""tap, clean and proxy as people type them, against a real API server."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.cluster import Cluster, targets
from tests.cli._command import kubeshark
from tests.cluster._server import ApiServer, make_pod
from tests.cluster._settings import settings


@pytest.fixture
def config(api: ApiServer) -> str:
    return str(api.kubeconfig())


def test_a_dry_run_lists_pods_and_makes_nothing(cluster: Cluster, made_namespace: str, config: str) -> None:
    make_pod(cluster, made_namespace, "cart-1", "10.0.0.1")
    make_pod(cluster, made_namespace, "stock-1", "10.0.0.2")
    away = f"{made_namespace}-shark"
    done = kubeshark("tap", "^cart", "-n", made_namespace, "-s", away, "--dryRun", KUBECONFIG=config)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{made_namespace}/cart-1  10.0.0.1  ",
        "1 pods match",
        "nothing was made: --dryRun",
    ]
    assert cluster.get("Namespace", "", away) is None
    assert len(targets(cluster, settings(f"tap.namespaces={made_namespace}"))) == 2


def test_what_will_not_be_captured_is_said(cluster: Cluster, made_namespace: str, config: str) -> None:
    make_pod(cluster, made_namespace, "cart-1", "10.0.0.1")
    make_pod(cluster, made_namespace, "cart-2", "192.0.2.1", spec={"hostNetwork": True})
    schedule = 'capture.schedules=[{name: nightly, cron: "0 0 2 * * *", duration: 24h, expire: 1h, upload: true}]'
    words = ("tap", "-n", made_namespace, "--dryRun", "--set", schedule, "--set", "timezone=Europe/Berlin")
    done = kubeshark(*words, KUBECONFIG=config)
    assert done.returncode == 2
    assert "schedule nightly: upload: true, and there is no archive: set tap.snapshots.cloud" in done.stderr
    words += ("--set", "store.url=s3://captures/lab")
    done = kubeshark(*words, KUBECONFIG=config)
    assert done.returncode == 0, done.stderr
    assert "captured by schedules, now nightly until " in done.stdout
    assert "uploaded is what is captured while one of these has its time, and nothing else: nightly\n" in done.stdout
    notes = done.stderr.splitlines()
    assert notes == ["kubeshark: note: not captured, being in the network of their node: 1 of them; --bpf can be"]
    done = kubeshark(*(word.replace("expire: 1h", "kfl: http") for word in words), KUBECONFIG=config)
    assert done.returncode == 2
    assert "schedule nightly: kfl: which entry a packet belongs to is not known when it is captured" in done.stderr
    done = kubeshark("tap", "nobody", "-n", made_namespace, "--dryRun", KUBECONFIG=config)
    assert done.stderr == "kubeshark: note: nothing is captured until a pod matches\n"
    done = kubeshark("tap", "-n", made_namespace, "--dryRun", "--bpf", "port 80", KUBECONFIG=config)
    assert "tap.bpfOverride replaces the choice of pods" in done.stderr


def test_from_tap_to_clean(cluster: Cluster, namespace: str, config: str, own_home: Path) -> None:
    words = (
        "tap",
        "-s",
        namespace,
        "--storageLimit",
        "1Gi",
        "--persistentStorage",
        "--telemetry-enabled=false",
        "--wait",
        "0",
    )
    done = kubeshark(*words, "--set", "tap.resources.hub.limits.memory=8Gi", KUBECONFIG=config)
    assert done.returncode == 0, done.stderr
    assert "note: --telemetry-enabled has no effect" in done.stderr
    assert "made the identity" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("22 objects changed in namespace ")
    claim = cluster.get("PersistentVolumeClaim", namespace, "kubeshark-captures")
    assert claim is not None
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi"
    secret = (own_home / ".kubeshark" / "identity.age").read_text().splitlines()[-1]
    assert secret not in done.stdout + done.stderr

    done = kubeshark(*words, "--set", "tap.resources.hub.limits.memory=8Gi", KUBECONFIG=config)
    assert done.stdout.splitlines()[-1].startswith("0 objects changed")
    done = kubeshark("clean", "-s", namespace, KUBECONFIG=config)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "22 objects deleted"
    done = kubeshark("clean", "-s", namespace, KUBECONFIG=config)
    assert done.stdout.splitlines() == [f"nothing of release kubeshark in namespace {namespace}"]


def test_the_file_says_what_flags_do(cluster: Cluster, namespace: str, config: str, tmp_path: Path) -> None:
    (tmp_path / "kubeshark.yaml").write_text(
        f"tap: {{release: {{namespace: {namespace}}}, docker: {{tag: '7'}}, labels: {{team: network}}}}\n"
        f"kube: {{configPath: {config}}}\n"
    )
    done = kubeshark("tap", "--wait", "0", "-r", "registry.example.test", "--config-path", tmp_path / "kubeshark.yaml")
    assert done.returncode == 0, done.stderr
    hub = cluster.get("Deployment", namespace, "kubeshark-hub")
    assert hub is not None
    assert hub["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example.test/hub:7"
    assert hub["metadata"]["labels"]["team"] == "network"


def test_not_ready_in_time_is_one_line(namespace: str, config: str) -> None:
    done = kubeshark("tap", "-s", namespace, "--wait", "1s", KUBECONFIG=config)
    assert done.returncode == 1
    assert "not ready after 1 s" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("tap", "("), "is no regular expression", 2),
        (("tap", "--wait", "soon"), "no duration", 2),
        (("tap", "--release-helmChartPath", "x.tgz"), "helm install", 2),
        (("tap", "--efsFileSytemIdAndPath", "fs-1:/"), "--persistentStorageStatic", 2),
        (("tap", "--tls=perhaps"), "neither true nor false", 2),
        (("tap", "--recipient", "age1x"), "age1x", 2),
        (("tap", "--kubeconfig", "/absent"), "there is no /absent", 1),
        (("proxy", "-s", "absent"), "no pod of front is ready in namespace absent", 1),
    ],
)
def test_what_is_wrong_is_said_in_a_line(config: str, words: tuple[str, ...], said: str, code: int) -> None:
    done = kubeshark(*words, KUBECONFIG=config)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_who_may_not_is_told_what(api: ApiServer, namespace: str) -> None:
    done = kubeshark("tap", "-s", namespace, KUBECONFIG=str(api.kubeconfig("viewer")))
    assert done.returncode == 1
    assert 'User "viewer" cannot list resource "pods"' in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_readers_without_the_key(namespace: str, config: str) -> None:
    recipient = settings().store.recipients[0]
    done = kubeshark("tap", "-s", namespace, "--recipient", recipient, KUBECONFIG=config)
    assert done.returncode == 2
    assert "create secret generic kubeshark-identity" in done.stderr
