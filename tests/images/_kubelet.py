"""Pods as a kubelet starts them: what the API server says a template is, on the root file system of a built image."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubeshark.cluster import Cluster
from kubeshark.cluster._client import KINDS
from tests.cluster._server import ApiServer
from tests.images._built import Image

ACCOUNT_AT = "/var/run/secrets/kubernetes.io/serviceaccount"
LAUNCH = Path(__file__).with_name("_launch.py")


@dataclass(frozen=True)
class Place:
    """Where pods of a namespace of the cluster run: a network namespace of this machine, with an address."""

    cluster: Cluster
    server: ApiServer
    namespace: str
    netns: str
    address: str
    node: str
    hosts: dict[str, str]  # name → address: what a cluster's DNS would say
    folder: Path


class Running:
    """The only container of a pod."""

    def __init__(self, parent: subprocess.Popen[bytes], spec: dict[str, Any], log: Path) -> None:
        self.spec, self._parent, self._log = spec, parent, log

    @property
    def container(self) -> dict[str, Any]:
        [one] = self.spec["containers"]
        return dict(one)

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def is_alive(self) -> bool:
        return self._parent.poll() is None

    def first(self) -> int:
        """Return the id, outside, of the process that is 1 inside."""
        return int(Path(f"/proc/{self._parent.pid}/task/{self._parent.pid}/children").read_text().split()[0])

    def statuses(self) -> list[dict[str, str]]:
        """Return /proc/ID/status of all processes in it."""
        inside = Path(f"/proc/{self.first()}/ns/pid").readlink()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (folder / "ns/pid").readlink() == inside:
                    lines = (folder / "status").read_text().splitlines()
                    found.append({name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)})
            except OSError:  # it ended meanwhile
                continue
        return found

    def kill(self) -> None:
        """End it at once; what process 1 started ends with it."""
        while self.is_alive():
            with suppress(OSError, IndexError):  # there is none yet, or none any more
                os.kill(self.first(), signal.SIGKILL)
            time.sleep(0.05)

    def stop(self) -> int:
        """End it as a kubelet does: SIGTERM to process 1, which must heed it within its time; return the status."""
        if self.is_alive():
            os.kill(self.first(), signal.SIGTERM)
        return self._parent.wait(self.spec["terminationGracePeriodSeconds"])


@contextmanager
def pod(place: Place, kind: str, name: str, image: Image) -> Iterator[Running]:
    """Run a workload's pod until the end of the block."""
    template = place.cluster.json("GET", KINDS[kind].path(place.namespace, name))["spec"]["template"]
    spec = template["spec"]
    [container] = spec["containers"]
    folder = place.folder / name
    (folder / "scratch").mkdir(parents=True)
    given = _process(place, spec, container, image)
    given |= {"root": str(image.root), "scratch": str(folder / "scratch")}
    given["binds"] = _binds(place, spec, container, folder)
    (folder / "launch.json").write_text(json.dumps(given))
    log = folder / "log"
    command = ["ip", "netns", "exec", place.netns]
    command += ["unshare", "--mount", "--propagation", "private", "--pid", "--fork"]
    with (
        log.open("wb") as out,
        subprocess.Popen([*command, sys.executable, LAUNCH, folder / "launch.json"], stdout=out, stderr=out) as parent,
    ):
        running = Running(parent, spec, log)
        try:
            yield running
        finally:
            running.kill()


def wait_until_ready(place: Place, running: Running) -> None:
    """Probe as the manifest says; fails when the container ends, or does not open its port."""
    probe = running.container["readinessProbe"]
    assert probe.keys() & {"tcpSocket", "httpGet", "exec", "grpc"} == {"tcpSocket"}
    port = probe["tcpSocket"]["port"]
    assert port in {each["containerPort"] for each in running.container["ports"]}
    for _ in range(600):
        assert running.is_alive(), running.said
        try:
            socket.create_connection((place.address, port), probe["timeoutSeconds"]).close()
        except OSError:
            time.sleep(0.1)
            continue
        return
    raise AssertionError(f"port {port} stays closed: {running.said}")


def _process(place: Place, spec: dict[str, Any], container: dict[str, Any], image: Image) -> dict[str, Any]:
    of_pod, of_container = spec.get("securityContext", {}), container["securityContext"]
    user, _, group = image.config["User"].partition(":")
    uid = of_container.get("runAsUser", of_pod.get("runAsUser", int(user)))
    gid = of_container.get("runAsGroup", of_pod.get("runAsGroup", int(group)))
    assert not (of_container.get("runAsNonRoot", of_pod.get("runAsNonRoot")) and uid == 0)
    capabilities = of_container["capabilities"]
    assert capabilities["drop"] == ["ALL"]
    environment = dict(each.split("=", 1) for each in image.config["Env"]) | _service_links(place)
    for variable in container.get("env", []):
        environment[variable["name"]] = _expand(_value(place, variable), environment)
    command = container.get("command") or image.config["Entrypoint"]
    arguments = container.get("args") or ([] if container.get("command") else image.config.get("Cmd") or [])
    return {
        "command": [_expand(word, environment) for word in [*command, *arguments]],
        "environment": environment,
        "uid": uid,
        "gid": gid,
        "groups": sorted({gid, of_pod.get("fsGroup", gid)}),
        "capabilities": capabilities.get("add", []),
        "no_new_privileges": not of_container["allowPrivilegeEscalation"],
        "read_only_root": of_container["readOnlyRootFilesystem"],
    }


def _value(place: Place, variable: dict[str, Any]) -> str:
    if "valueFrom" not in variable:
        return str(variable.get("value", ""))
    facts = {"spec.nodeName": place.node, "status.hostIP": place.address, "metadata.namespace": place.namespace}
    return facts[variable["valueFrom"]["fieldRef"]["fieldPath"]]


def _expand(text: str, environment: dict[str, str]) -> str:
    """$(NAME), where there is such a variable."""
    return re.sub(r"\$\(([A-Za-z_]\w*)\)", lambda found: environment.get(found[1], found[0]), text)


def _service_links(place: Place) -> dict[str, str]:
    """The variables by which every container hears of services: some look like variables of our own."""
    links = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(place.server.port)}
    for service in place.cluster.list("Service", place.namespace):
        address = service["spec"]["clusterIP"]
        if address == "None":
            continue
        name = service["metadata"]["name"].upper().replace("-", "_")
        [port] = service["spec"]["ports"]
        url = f"tcp://{address}:{port['port']}"
        links |= {
            f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": str(port["port"]), f"{name}_PORT": url,
            f"{name}_PORT_{port['port']}_TCP": url, f"{name}_PORT_{port['port']}_TCP_ADDR": address,
            f"{name}_PORT_{port['port']}_TCP_PORT": str(port["port"]), f"{name}_PORT_{port['port']}_TCP_PROTO": "tcp",
        }  # fmt: skip
    return links


def _binds(place: Place, spec: dict[str, Any], container: dict[str, Any], folder: Path) -> list[tuple[str, str, bool]]:
    """Return (here, in the container, whether read-only)."""
    group = spec.get("securityContext", {}).get("fsGroup")
    volumes = {volume["name"]: _volume(place, volume, folder / "volumes" / volume["name"], group)
               for volume in spec.get("volumes", [])}  # fmt: skip
    binds = [(str(volumes[each["name"]]), each["mountPath"], each.get("readOnly", False))
             for each in container.get("volumeMounts", [])]  # fmt: skip
    (folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in place.hosts.items()))
    binds.append((str(folder / "hosts"), "/etc/hosts", False))
    if spec["automountServiceAccountToken"]:
        binds.append((str(_account(place, spec, folder / "account", group)), ACCOUNT_AT, True))
    return binds


def _volume(place: Place, volume: dict[str, Any], folder: Path, group: int | None) -> Path:
    folder.mkdir(parents=True)
    files: dict[str, bytes] = {}
    mode = 0o644
    if "secret" in volume:
        found = place.cluster.get("Secret", place.namespace, volume["secret"]["secretName"])
        assert found is not None, f"there is no Secret {volume['secret']['secretName']}: the pod would never start"
        files = {name: base64.b64decode(text) for name, text in found["data"].items()}
        mode = volume["secret"]["defaultMode"]
    elif "configMap" in volume:
        found = place.cluster.get("ConfigMap", place.namespace, volume["configMap"]["name"])
        assert found is not None
        files = {name: text.encode() for name, text in found["data"].items()}
    else:
        assert "emptyDir" in volume, f"no kubelet of tests knows {volume}"
        folder.chmod(0o777)
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(mode)
    _give(folder, group)
    return folder


def _account(place: Place, spec: dict[str, Any], folder: Path, group: int | None) -> Path:
    """A token that the API server issues for the pod's account."""
    path = f"{KINDS['ServiceAccount'].path(place.namespace, spec['serviceAccountName'])}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = place.cluster.json("POST", path, body=request)["status"]["token"]
    folder.mkdir()
    (folder / "token").write_text(token)
    (folder / "token").chmod(0o640)
    (folder / "ca.crt").write_bytes((place.server.folder / "certs/apiserver.crt").read_bytes())
    (folder / "namespace").write_text(place.namespace)
    _give(folder, group)
    return folder


def _give(folder: Path, group: int | None) -> None:
    """fsGroup: the group of every file of a volume."""
    if group is not None:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, 0, group)
