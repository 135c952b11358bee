"""Leads a port of this machine to a pod, through the API server: what `kubectl port-forward` does."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self

from kubeshark.cluster._client import Cluster
from kubeshark.cluster._names import LABEL_RELEASE
from kubeshark.errors import ClusterError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["Forward", "ready_pod"]

BUFFER = 64 << 10
MOST = 64
"""Connections at once: a browser opens six, and a WebSocket."""


def ready_pod(cluster: Cluster, namespace: str, release: str, component: str) -> str:
    """Return the name of a ready pod of a component; raise ClusterError if there is none."""
    selector = f"{LABEL_RELEASE}={release},app.kubernetes.io/component={component}"
    for pod in cluster.list("Pod", namespace, selector=selector):
        conditions = (pod.get("status") or {}).get("conditions") or ()
        is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
        if is_ready and not pod["metadata"].get("deletionTimestamp"):
            name: str = pod["metadata"]["name"]
            return name
    raise ClusterError(
        f"no pod of {component} is ready in namespace {namespace}",
        hint='"kubeshark tap" deploys, "kubeshark logs" tells',
    )


class Forward:
    """From `__enter__` to `__exit__` connections to `host`:`port` go to a port of a pod."""

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        pod: str,
        pod_port: int,
        *,
        host: str,
        port: int,
        log: Callable[[str], None],
    ) -> None:
        self._api, self._namespace, self._pod, self._pod_port, self._log = api, namespace, pod, pod_port, log
        self._ends = threading.Event()
        self._open = threading.Semaphore(MOST)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((host, port))
            self._listener.listen()
        except OSError as error:
            self._listener.close()
            raise ClusterError(
                f"cannot listen on {host} port {port}: {error.strerror}", hint="choose another with --proxy-front-port"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="kubeshark-forward", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._listener.close()

    def wait(self) -> None:
        """Wait for the end, which Ctrl-C is."""
        self._ends.wait()

    def _accept(self) -> None:
        while not self._ends.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if not self._open.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._lead, args=(connection,), daemon=True).start()

    def _lead(self, connection: socket.socket) -> None:
        try:
            with connection, closing(self._connect()) as remote:
                _pump(connection, remote, self._ends)
        except (OSError, ClusterError) as error:
            if not self._ends.is_set():
                self._log(f"a connection to pod {self._pod} failed: {error}")
        finally:
            self._open.release()

    def _connect(self) -> Any:
        """Return a socket whose other end is the pod's port."""
        from kubernetes import client
        from kubernetes.client.exceptions import ApiException
        from kubernetes.stream import portforward

        try:
            core = client.CoreV1Api(client.ApiClient(self._api.configuration))  # portforward changes it while it opens
            opened = portforward(
                core.connect_get_namespaced_pod_portforward, self._pod, self._namespace, ports=str(self._pod_port)
            )
        except ApiException as error:
            raise ClusterError(" ".join(str(error.reason).split())[:300], status=error.status or 0) from error
        return opened.socket(self._pod_port)


def _pump(one: socket.socket, other: Any, ends: threading.Event) -> None:
    """Copy both ways until one side has ended and the other has nothing more to say."""
    ways = {one: other, other: one}
    while ways and not ends.is_set():
        readable, _, _ = select.select(list(ways), [], [], 1.0)
        for source in readable:
            data = source.recv(BUFFER)
            if data:
                ways[source].sendall(data)
            else:
                return
