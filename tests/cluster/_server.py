"""A real API server over a real etcd. There is no controller, no scheduler, no node: tests write what those would."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubeshark.cluster import Cluster
from kubeshark.cluster._client import KINDS
from kubeshark.errors import ClusterError
from tests.core_capture.store._servers import CACHE, free_port

READY_S = 90
TOKENS = {"admin": ("token-of-admin", "system:masters"), "viewer": ("token-of-viewer", "viewers")}


@dataclass(frozen=True)
class ApiServer:
    """Where it is, and files to reach it with, by user."""

    port: int
    folder: Path

    def kubeconfig(self, user: str = "admin") -> Path:
        token, _ = TOKENS[user]
        path = self.folder / f"{user}.yaml"
        cluster = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority": str(self.folder / "certs/apiserver.crt"),
        }
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
        }
        path.write_text(json.dumps(document))
        return path

    def open(self, user: str = "admin") -> Cluster:
        return Cluster.open(str(self.kubeconfig(user)))


def find(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}: apt-get install {package}")
    return found


def find_apiserver() -> str:
    built = sorted(CACHE.glob("kube-apiserver-*/kube-apiserver"))
    found = str(built[-1]) if built else shutil.which("kube-apiserver")
    if found is None:
        pytest.skip("no kube-apiserver: it is built with Go, once, for make test-cluster")
    return found


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Run both from the beginning to the end of the block."""
    etcd, program = find("etcd", "etcd-server"), find_apiserver()
    client, peer, port = free_port(), free_port(), free_port()
    (folder / "tokens.csv").write_text(
        "".join(f'{token},{user},{number},"{group}"\n' for number, (user, (token, group)) in enumerate(TOKENS.items()))
    )
    subprocess.run(["openssl", "genrsa", "-out", str(folder / "accounts.key"), "2048"], check=True, capture_output=True)
    urls = [f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"]
    commands = (
        [
            etcd, "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--listen-client-urls", urls[0],
            "--advertise-client-urls", urls[0], "--listen-peer-urls", urls[1],
            "--initial-advertise-peer-urls", urls[1], "--initial-cluster", f"default={urls[1]}",
        ],
        [
            program, "--etcd-servers", urls[0], "--bind-address", "127.0.0.1", "--secure-port", str(port),
            "--cert-dir", str(folder / "certs"), "--token-auth-file", str(folder / "tokens.csv"),
            "--service-account-issuer", "https://accounts.test", "--authorization-mode", "RBAC",
            "--service-account-key-file", str(folder / "accounts.key"),
            "--service-account-signing-key-file", str(folder / "accounts.key"),
            "--service-cluster-ip-range", "10.0.0.0/16", "--allow-privileged",
            "--disable-admission-plugins", "ServiceAccount",  # no controller makes the default account
        ],
    )  # fmt: skip
    running = []
    try:
        for command in commands:
            with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
                running.append(subprocess.Popen(command, stdout=log, stderr=log))
        server = ApiServer(port, folder)
        wait_for(server)
        yield server
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(30)


def wait_for(server: ApiServer) -> None:
    end = time.monotonic() + READY_S
    while True:
        try:
            cluster = server.open()
            cluster.ask("GET", "/readyz")
            if cluster.get("Namespace", "", "default"):
                return
        except (ClusterError, OSError) as error:
            assert time.monotonic() < end, f"{error}\n{(server.folder / 'kube-apiserver.log').read_text()[-2000:]}"
        time.sleep(0.3)


def make(cluster: Cluster, kind: str, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
    """Make an object as somebody else would: by another field manager, without our labels."""
    meta: dict[str, Any] = {"name": name, **({"namespace": namespace} if namespace else {})}
    meta |= fields.pop("metadata", {})
    document = {"apiVersion": KINDS[kind].api, "kind": kind, "metadata": meta, **fields}
    return cluster.json("POST", KINDS[kind].path(namespace), body=document)


def set_status(cluster: Cluster, kind: str, namespace: str, name: str, **status: Any) -> None:
    """Write what a controller or a kubelet would."""
    cluster.json(
        "PATCH",
        f"{KINDS[kind].path(namespace, name)}/status",
        body={"status": status},
        content="application/merge-patch+json",
    )


def make_pod(cluster: Cluster, namespace: str, name: str, address: str = "", **fields: Any) -> None:
    spec = {"containers": [{"name": "main", "image": "none"}], **fields.pop("spec", {})}
    make(cluster, "Pod", name, namespace, spec=spec, **fields)
    if address:
        set_status(cluster, "Pod", namespace, name, phase="Running", podIP=address, podIPs=[{"ip": address}])


def find_helm() -> str:
    fetched = sorted(CACHE.glob("helm-*/helm"))
    found = str(fetched[-1]) if fetched else shutil.which("helm")
    if found is None:
        pytest.skip("no helm: scripts/helm.sh fetches it")
    return found
