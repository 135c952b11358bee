"""The images are built as `make images` does, and what is in them runs: from their own files, as their own users."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kubeshark._certificates import issue
from kubeshark.core_capture.store._identity import create_identity
from kubeshark.hub._auth import SECURITY_HEADERS
from tests.images._running import ADDRESS, Image, cable, image, missing_tools, running, until
from tests.packages._servers import BASIC, PASSWORD, USER, registry

pytestmark = [pytest.mark.images, pytest.mark.timeout(900)]
ENVIRONMENT = dict(os.environ)
"""Before a test gets a home of its own: what images are made of is kept in the user's cache."""

TOKEN = "a-token-of-the-images-test-0123456789"
DNS_QUESTION = b"\x07\x07\x01\0\0\x01\0\0\0\0\0\0\x06images\x07example\0\0\x01\0\x01"
HUB, WORKER, FRONT = 8898, 8897, 8080


@pytest.fixture(scope="module")
def images(root: Path) -> dict[str, Image]:
    if missing := missing_tools():
        pytest.skip(f"images cannot be built: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("images are built and run by root: run tests/images as root")
    command = [root / "scripts/images.sh"]
    said = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return {found.name: found for found in (image(root, line, ENVIRONMENT) for line in said.stdout.splitlines())}


@pytest.fixture(scope="module")
def namespace(images: dict[str, Image]) -> Iterator[str]:
    with cable() as name:
        yield name


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The volumes of a pod: certificates, identity, token, and folders to write to."""
    identity = create_identity(tmp_path / "identity.age")
    (tmp_path / "recipient").write_text(str(identity.recipient))
    (tmp_path / "token").write_text(TOKEN + "\n")
    issue(tmp_path / "pki", [ADDRESS])
    (tmp_path / "home").mkdir()
    for path in [tmp_path, *tmp_path.rglob("*")]:
        os.chown(path, 65532, 65532)
        path.chmod(0o700 if path.is_dir() else 0o600)
    return tmp_path


def ask(port: int, path: str, token: str = "") -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection(ADDRESS, port, timeout=20)) as connection:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()


def asked_by_dns(namespace: str) -> bool:
    """Send a question on the namespace's lo; return whether the hub tells of one that the worker captured."""
    send = f"from socket import *; socket(AF_INET, SOCK_DGRAM).sendto({DNS_QUESTION!r}, ('127.0.0.1', 53))"
    subprocess.run(["ip", "netns", "exec", namespace, "python3", "-c", send], check=True)
    code, _, body = ask(HUB, "/api/v1/query?kfl=dns&form=entry", TOKEN)
    return code == 200 and b"images.example" in body


def owners(namespace: str, port: int) -> set[str]:
    """User ids of the processes of whoever listens on a port of the namespace."""
    listed = subprocess.run(
        ["ip", "netns", "exec", namespace, "ss", "-Hltnp", f"sport = :{port}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in set(re.findall(r"pid=(\d+)", listed))]
    return {line.split()[2] for status in statuses for line in status.splitlines() if line.startswith("Uid:")}


def test_front_hub_and_worker_work_together(images: dict[str, Image], namespace: str, data: Path) -> None:
    logs = {name: data / f"{name}.log" for name in images}
    home = {"HOME": "/mnt/home", "KUBESHARK_IDENTITY": "/mnt/identity.age"}
    worker = ["worker", "--store", "/mnt/node", "-i", "lo", "-f", "udp port 53", "--segment-seconds", "1"]
    worker += ["--recipient", (data / "recipient").read_text(), "--tls", f"/mnt/pki/{ADDRESS}", "--node", "node-1"]
    worker += ["--listen", f"0.0.0.0:{WORKER}"]
    hub = ["hub", "--store", "/mnt/home/store", "--host", "0.0.0.0", "--insecure", "--port", str(HUB)]
    hub += ["--token-file", "/mnt/token", "--tls", "/mnt/pki/hub", "--worker", f"https://{ADDRESS}:{WORKER}"]
    tls = ssl.create_default_context(cafile=str(data / "pki" / "hub" / "ca.crt"))
    with running(images["worker"], namespace, data, *worker, log=logs["worker"], HOME="/mnt/worker-home"):

        def status() -> dict[str, object]:
            with closing(http.client.HTTPSConnection(ADDRESS, WORKER, context=tls, timeout=20)) as connection:
                connection.request("GET", "/v1/status")
                answer = connection.getresponse()
                assert answer.status == 200
                found: dict[str, object] = json.loads(answer.read())
                return found

        until(lambda: not socket.create_connection((ADDRESS, WORKER), 5).close(), logs["worker"])
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            status()  # without a hub's certificate
        tls.load_cert_chain(data / "pki" / "hub" / "tls.crt", data / "pki" / "hub" / "tls.key")
        assert status()["node"] == "node-1"

        with running(images["hub"], namespace, data, *hub, log=logs["hub"], **home):
            until(lambda: ask(HUB, "/api/v1/health")[0], logs["hub"])
            assert owners(namespace, HUB) == {"65532"}
            assert ask(HUB, "/api/v1/health")[0] == 401
            code, _, body = ask(HUB, "/api/v1/health", TOKEN)
            health = json.loads(body)
            assert code == 200 and health["version"]

            until(lambda: asked_by_dns(namespace), logs["hub"])
            environment = {"KUBESHARK_HUB": f"127.0.0.1:{HUB}"}
            with running(images["front"], namespace, data, log=logs["front"], **environment):
                until(lambda: ask(FRONT, "/static/icon.svg")[0] == 200, logs["front"])
                assert owners(namespace, FRONT) == {"65532"}
                code, headers, page = ask(FRONT, "/", TOKEN)
                assert code == 200 and headers["content-security-policy"] == SECURITY_HEADERS["content-security-policy"]
                assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.decode())
                assert assets
                for asset in assets:
                    code, headers, content = ask(FRONT, asset)
                    assert (code, content != b"") == (200, True), asset
                    kept = {name: headers.get(name) for name in SECURITY_HEADERS if name != "cache-control"}
                    assert kept == {name: SECURITY_HEADERS[name] for name in kept}
                assert ask(FRONT, "/api/v1/health")[0] == 401
                code, _, body = ask(FRONT, "/api/v1/health", TOKEN)
                assert code == 200 and json.loads(body)["version"] == health["version"]


def test_users_are_the_manifests(images: dict[str, Image]) -> None:
    assert {name: each.config["User"] for name, each in images.items()} == {
        "hub": "65532:65532", "front": "65532:65532", "worker": "0:0",
    }  # fmt: skip


def test_no_compiler_and_nothing_of_the_machine(images: dict[str, Image]) -> None:
    unwanted = re.compile(r"(?:.*-)?(?:gcc|cc|g\+\+|clang|tcc|zig|ld|as|make|pip3?|buildah)(?:-[\d.]+)?")
    for each in images.values():
        programs = {path.name for folder in ("usr/bin", "usr/sbin", "opt/kubeshark/bin", "usr/local/bin")
                    for path in (each.root / folder).glob("*")}  # fmt: skip
        assert not [name for name in programs if unwanted.fullmatch(name)], each.name
        left = [each.root / "etc/pip.conf", each.root / "etc/apt/apt.conf.d/machine", each.root / "dist"]
        assert not [path for path in left if path.exists()], each.name
        assert not (each.root / "etc/apt/apt.conf.d/99mmdebstrap").exists()
        assert (each.root / "etc/ssl/certs/ca-certificates.crt").stat().st_size > 0


def test_hub_and_worker_lack_each_others_room(images: dict[str, Image]) -> None:
    for name, other in (("hub", "worker"), ("worker", "hub")):
        [package] = images[name].root.glob("opt/kubeshark/lib/python3*/site-packages/kubeshark")
        assert (package / name).is_dir() and not (package / other).exists()
        assert [*(package / "core_capture").glob("_core_native*.so")], "the C core is not in the image"


def test_bill_of_materials_is_complete(images: dict[str, Image]) -> None:
    for each in images.values():
        listed = {str(component["purl"]).partition("@")[0] for component in each.bill["components"]}
        purls = [component["purl"] for component in each.bill["components"]]
        assert len(set(purls)) == len(purls) and each.bill["bomFormat"] == "CycloneDX"
        debian = {
            path.name.removesuffix(".list").partition(":")[0]
            for path in (each.root / "var/lib/dpkg/info").glob("*.list")
        }
        assert {name for name in listed if name.startswith("pkg:deb/")} == {
            f"pkg:deb/debian/{name.replace('+', '%2B')}" for name in debian
        }
        python = {path.name.partition("-")[0].lower().replace("_", "-")
                  for path in each.root.glob("opt/*/lib/python3*/site-packages/*.dist-info")}  # fmt: skip
        assert {name for name in listed if name.startswith("pkg:pypi/")} == {f"pkg:pypi/{name}" for name in python}
        assert (each.name == "front") == (not python)


def test_an_image_is_pushed_once_and_comes_back_the_same(images: dict[str, Image], root: Path, tmp_path: Path) -> None:
    login = tmp_path / "auth.json"
    environment = ENVIRONMENT | {"KUBESHARK_PUSH_TLS": "0", "REGISTRY_AUTH_FILE": str(login)}
    with registry(tmp_path / "registry", auth=BASIC) as server:
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        login.write_text(json.dumps({"auths": {server.host: {"auth": basic}}}))

        def push() -> list[str]:
            command = [root / "scripts/images.sh", "push", server.host]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout.splitlines()

        first, second = push(), push()
        assert all(" pushed as sha256:" in line for line in first) and len(first) == 3
        assert all(line.endswith(" is there") for line in second) and len(second) == 3
        for line in first:
            target, _, digest = line.partition(" pushed as ")
            repository = target.rpartition(":")[0]
            folder = tmp_path / digest[7:]
            pull = ["skopeo", "copy", "--quiet", "--src-tls-verify=false"]
            pull += [f"docker://{repository}@{digest}", f"dir:{folder}"]
            subprocess.run(pull, env=environment, check=True, capture_output=True)
            manifest = json.loads((folder / "manifest.json").read_bytes())
            for blob in (manifest["config"], *manifest["layers"]):
                assert (
                    blob["digest"] == f"sha256:{hashlib.sha256((folder / blob['digest'][7:]).read_bytes()).hexdigest()}"
                )
            assert digest == f"sha256:{hashlib.sha256((folder / 'manifest.json').read_bytes()).hexdigest()}"
