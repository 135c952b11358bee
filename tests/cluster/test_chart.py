"""The chart says what the command does, object by object; helm itself reads it."""

from __future__ import annotations

import json
import ssl
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeshark.cluster._chart import chart_files, values_of
from kubeshark.core_capture.store import TlsFiles
from tests.cluster._server import find_helm
from tests.cluster._settings import CLOUDS, MANY, RECIPIENT, ROLE, by_name, objects, settings
from tests.packages._servers import BASIC, PASSWORD, USER, registry

CHOICES = {
    "default": (),
    "everything": MANY,
    "oidc": ("tap.auth.type=oidc", "tap.auth.oidc.issuer=https://id.example.test", "tap.auth.groupMapping.sre=admin"),
    "storage": ("tap.persistentStorage=true", "tap.persistentStorageStatic=true", "tap.storageLimit=1Ti"),
    **{name: chosen for name, (chosen, _) in CLOUDS.items()},
    "images": (
        "tap.docker.overrideImage.hub=r.test/hub@sha256:0",
        "tap.docker.overrideTag.worker=dev",
        "tap.docker.tag=2",
    ),
    "firewall": ("firewall.enabled=true", "firewall.failMode=closed", "firewall.exempt=192.0.2.0/24"),
    "below a path": ("tap.routing.front.basePath=/shark/", "tap.ingress.enabled=true", "tap.ingress.host=h.test"),
    "tls": ("tap.tls=true",),
    "tls and firewall": ("tap.tls=true", "firewall.enabled=true"),
    "privileged": ("tap.securityContext.privileged=true", "tap.resources.sniffer.limits.memory=0"),
}


def helm(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_helm(), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=100, env=env
    )


@pytest.fixture
def chart(root: Path) -> Path:
    return root / "deploy" / "chart"


def test_the_chart_is_not_stale(chart: Path) -> None:
    for name, text in chart_files().items():
        assert (chart / name).read_text() == text, f"{name}: run scripts/generate_chart.py"
    assert {path.relative_to(chart).as_posix() for path in chart.rglob("*") if path.is_file()} == chart_files().keys()


@pytest.mark.parametrize("choice", CHOICES)
def test_chart_and_command_agree(chart: Path, tmp_path: Path, choice: str) -> None:
    values = tmp_path / "values.json"
    values.write_text(json.dumps(values_of(settings(*CHOICES[choice]))))
    done = helm("template", "kubeshark", chart, "-n", "shark", "-f", values)
    assert done.returncode == 0, done.stderr
    theirs = by_name([each for each in yaml.safe_load_all(done.stdout) if each])
    ours = by_name(objects(*CHOICES[choice]))
    # helm makes the namespace itself (--create-namespace), and has no identity to give
    assert ours.keys() - theirs.keys() == {("Namespace", "shark"), ("Secret", "kubeshark-identity")}
    assert theirs.keys() <= ours.keys()
    for key, made in theirs.items():
        assert _comparable(made) == _comparable(ours[key]), key


def _comparable(made: dict[str, Any]) -> dict[str, Any]:
    """Return an object without whose it is, and without secrets that are made anew each time."""
    text = json.dumps(made).replace(
        '"app.kubernetes.io/managed-by": "Helm"', '"app.kubernetes.io/managed-by": "kubeshark"'
    )
    found: dict[str, Any] = json.loads(text)
    if found["kind"] == "Secret":
        found["data"] = sorted(found["data"])
    return found


def test_certificates_of_the_chart_are_used_by_hub_and_worker(chart: Path, tmp_path: Path) -> None:
    """Those that helm makes pass for TLS as strictly as ours."""
    done = helm("template", "kubeshark", chart, "--set", f"store.recipients={{{RECIPIENT}}}")
    made = by_name([each for each in yaml.safe_load_all(done.stdout) if each])
    contexts = {}
    for who, purpose in (("hub", ssl.Purpose.SERVER_AUTH), ("worker", ssl.Purpose.CLIENT_AUTH)):
        folder = tmp_path / who
        folder.mkdir()
        for name, text in made["Secret", f"kubeshark-{who}-tls"]["data"].items():
            (folder / name).write_bytes(b64decode(text))
        contexts[who] = TlsFiles.in_folder(folder).context(purpose)
    assert _shake_hands(contexts["hub"], contexts["worker"]) == {("DNS", "kubeshark-hub")}


def _shake_hands(client: Any, server: Any) -> set[tuple[str, str]]:
    """Return the names in the client's certificate, as the server saw them."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname="kubeshark-worker"),
        server.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return set(ends[1].getpeercert()["subjectAltName"])


def test_who_may_read_is_asked_for(chart: Path) -> None:
    done = helm("template", "kubeshark", chart)
    assert done.returncode != 0
    assert "store.recipients is empty" in done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("tap.snapshots.cloud.provider=s3",), "s3.bucket is empty"),
        (("tap.snapshots.cloud.provider=gcs",), "gcs.bucket is empty"),
        (("tap.snapshots.cloud.provider=azblob",), "storageAccount and container"),
        (("tap.snapshots.cloud.provider=s3", "store.url=s3://b/c"), "leave one of them out"),
        (("tap.tls=true", "tap.bpfOverride=port 80"), "tap.tls with tap.bpfOverride"),
        (("tap.snapshots.cloud.s3.roleArn=captures",), "roleArn is no role"),
        ((f"tap.snapshots.cloud.s3.roleArn={ROLE}",), "and there is none"),
        (("store.url=s3://b/c", "tap.snapshots.cloud.s3.externalId=x"), "is for a role, and there is none"),
        (
            ("store.url=s3://b/c", f"tap.snapshots.cloud.s3.roleArn={ROLE}", "tap.snapshots.cloud.s3.externalId=x"),
            "externalId is none",
        ),
        (("capture.schedules[0].name=a", "capture.schedules[0].kfl=dns"), "not known when it is captured"),
        (("capture.schedules[0].name=a", "capture.schedules[0].upload=true"), "upload: true, and there is no archive"),
        (("tap.routing.front.basePath=shark",), "basePath is no path"),
        (("tap.routing.front.basePath=/a//b",), "basePath is no path"),
    ],
)
def test_what_cannot_be_is_refused(chart: Path, given: tuple[str, ...], said: str) -> None:
    words = [word for each in (f"store.recipients={{{RECIPIENT}}}", *given) for word in ("--set", each)]
    done = helm("template", "kubeshark", chart, *words)
    assert done.returncode != 0
    assert said in done.stderr


def test_lint_package_and_push(chart: Path, tmp_path: Path) -> None:
    done = helm("lint", "--strict", chart, "--set", f"store.recipients={{{RECIPIENT}}}")
    assert done.returncode == 0, done.stdout + done.stderr
    done = helm("package", chart, "-d", tmp_path)
    assert done.returncode == 0, done.stderr
    [archive] = tmp_path.glob("kubeshark-*.tgz")
    with registry(tmp_path / "registry", auth=BASIC) as served:
        known = {"auths": {served.host: {"auth": b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}}
        (tmp_path / "login.json").write_text(json.dumps(known))
        plain = ("--plain-http", "--registry-config", tmp_path / "login.json")
        done = helm("push", archive, f"oci://{served.host}/charts", *plain)
        assert done.returncode == 0, done.stderr
        (tmp_path / "pulled").mkdir()
        done = helm("pull", f"oci://{served.host}/charts/kubeshark", *plain, "-d", tmp_path / "pulled")
        assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in (tmp_path / "pulled").iterdir()] == [archive.read_bytes()]
