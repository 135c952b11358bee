"""Requests to an API server: plain objects in and out, errors in one line.

The official client reads kubeconfig files, signs in (tokens, certificates, exec plugins) and keeps connections; its
thousand model classes are not used. It takes a second to import, so that only commands about a cluster pay for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kubeshark.cluster._names import MANAGER
from kubeshark.errors import ClusterError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["KINDS", "Cluster", "Kind", "Stream"]

CONNECT_S, ANSWER_S = 5, 30
PAGE = 500
MAX_BYTES = 64 << 20
"""Of one answer; a page of 500 pods is some 5 MB."""

CHUNK = 64 << 10
MAX_LINE = 16 << 20
"""Of a watch: one object, of which etcd takes 1.5 MB."""


class Kind:
    """Where objects of a kind lie."""

    __slots__ = ("api", "is_namespaced", "name", "plural")

    def __init__(self, name: str, api: str, plural: str, *, is_namespaced: bool = True) -> None:
        self.name, self.api, self.plural, self.is_namespaced = name, api, plural, is_namespaced

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of an object, or of a list."""
        root = f"/api/{self.api}" if "/" not in self.api else f"/apis/{self.api}"
        inside = f"/namespaces/{quote(namespace, safe='')}" if namespace and self.is_namespaced else ""
        return f"{root}{inside}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")


_ALL = (
    Kind("Namespace", "v1", "namespaces", is_namespaced=False),
    Kind("ServiceAccount", "v1", "serviceaccounts"),
    Kind("ClusterRole", "rbac.authorization.k8s.io/v1", "clusterroles", is_namespaced=False),
    Kind("ClusterRoleBinding", "rbac.authorization.k8s.io/v1", "clusterrolebindings", is_namespaced=False),
    Kind("Secret", "v1", "secrets"),
    Kind("ConfigMap", "v1", "configmaps"),
    Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
    Kind("Service", "v1", "services"),
    Kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
    Kind("DaemonSet", "apps/v1", "daemonsets"),
    Kind("Deployment", "apps/v1", "deployments"),
    Kind("Ingress", "networking.k8s.io/v1", "ingresses"),
    Kind("Pod", "v1", "pods"),
    Kind("Node", "v1", "nodes", is_namespaced=False),
    Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices"),
    Kind("Event", "v1", "events"),
    Kind("Lease", "coordination.k8s.io/v1", "leases"),
    Kind("StorageClass", "storage.k8s.io/v1", "storageclasses", is_namespaced=False),
    Kind("CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions", is_namespaced=False),
    Kind("FirewallPolicy", "kubeshark.io/v1", "firewallpolicies", is_namespaced=False),
    Kind("SelfSubjectAccessReview", "authorization.k8s.io/v1", "selfsubjectaccessreviews", is_namespaced=False),
)
KINDS = {kind.name: kind for kind in _ALL}


class Stream:
    """The lines of an answer as they come; another thread may end it."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def lines(self) -> Iterator[bytes]:
        """Give whole lines until the server ends it or is quiet, or `end`; raise ClusterError for a huge one."""
        from urllib3.exceptions import HTTPError

        part = bytearray()
        chunks = self._answer.stream(CHUNK)
        while True:
            try:
                chunk = next(chunks, None)
            except (HTTPError, OSError, ValueError):  # cut off, quiet or ended: whoever reads it asks again
                return
            if chunk is None:
                return
            part += chunk
            if b"\n" in chunk:
                *whole, rest = bytes(part).split(b"\n")
                part = bytearray(rest)
                yield from whole
            if len(part) > MAX_LINE:
                raise ClusterError(f"the API server's line is longer than {MAX_LINE:,} bytes")

    def end(self) -> None:
        """Make `lines` return, from any thread."""
        with suppress(Exception):  # it ends by itself at this moment
            self._answer.shutdown()


class Cluster:
    """One API server, as one user."""

    def __init__(self, api: ApiClient) -> None:
        self.api = api

    @classmethod
    def open(cls, config_path: str = "", context: str = "") -> Cluster:
        """Read a kubeconfig, by default $KUBECONFIG or ~/.kube/config; inside a pod without one, its account.

        Raise ClusterError where there is none, or it cannot be used. Nothing is asked yet.
        """
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException
        from yaml import YAMLError

        settings = client.Configuration()
        settings.retries = 1
        path = config_path or os.environ.get("KUBECONFIG") or "~/.kube/config"
        files = [Path(each).expanduser() for each in path.split(os.pathsep) if each]
        try:
            if not config_path and not any(file.exists() for file in files) and "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
            elif missing := next((file for file in files if config_path and not file.exists()), None):
                raise ClusterError(f"there is no {missing}", hint="see kube.configPath")
            else:
                config.load_kube_config(path, context or None, settings, persist_config=False)  # type: ignore[no-untyped-call]
        except (ConfigException, YAMLError, OSError, KeyError, TypeError, ValueError) as error:
            said = " ".join(str(error).split())[:300]
            raise ClusterError(f"no cluster is configured: {said}", hint="see KUBECONFIG, kube.context") from error
        if not settings.verify_ssl:  # somebody wrote that into the kubeconfig; a warning a request says it no better
            import urllib3

            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        return cls(client.ApiClient(settings))

    @property
    def host(self) -> str:
        return str(self.api.configuration.host)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Send one request; return the body of a 2xx answer, raise ClusterError for any other."""
        with self._reaching():
            answer = self._send(method, path, query=query, body=body, content=content, headers=headers)
            data: bytes = answer.read(MAX_BYTES + 1)
            answer.release_conn()
        if len(data) > MAX_BYTES:
            raise ClusterError(f"{path}: the answer is longer than {MAX_BYTES:,} bytes")
        if not 200 <= answer.status < 300:
            raise explain(answer.status, data, f"{method} {path}")
        return data

    @contextmanager
    def stream(self, path: str, *, query: Mapping[str, str], quiet_s: float) -> Iterator[Stream]:
        """Give an answer that has no end yet; it is over when it says nothing for `quiet_s`. Raise ClusterError."""
        with self._reaching():
            answer = self._send("GET", path, query=query, read_s=quiet_s)
        try:
            if not 200 <= answer.status < 300:
                with self._reaching():
                    said = answer.read(MAX_BYTES)
                raise explain(answer.status, said, f"GET {path}")
            yield Stream(answer)
        finally:
            answer.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: str = "application/json",
        headers: Mapping[str, str] | None = None,
        read_s: float = ANSWER_S,
    ) -> Any:
        sent = {"Accept": "application/json", "Content-Type": content, **(headers or {})}
        request = self.api.param_serialize(
            method, path, query_params=list((query or {}).items()), header_params=sent, body=body,
            auth_settings=["BearerToken"],
        )  # fmt: skip
        return self.api.call_api(*request, _request_timeout=(CONNECT_S, read_s)).response

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ApiException as error:  # TLS: the server is another one, or so is its authority
            said = " ".join(str(error.reason).split())
            raise ClusterError(f"{self.host} cannot be reached: {said[:300]}", hint="see kube.context") from error
        except HTTPError as error:
            raise ClusterError(f"{self.host} cannot be reached: {_reason(error)}", hint="see kube.context") from error

    def json(self, method: str, path: str, **rest: Any) -> dict[str, Any]:
        data = self.ask(method, path, **rest)
        try:
            found = json.loads(data)
        except ValueError as error:
            raise ClusterError(f"{self.host} answers {path} with something that is no JSON") from error
        if not isinstance(found, dict):
            raise ClusterError(f"{self.host} answers {path} with something that is no object")
        return found

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            return self.json("GET", KINDS[kind].path(namespace, name))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: str, namespace: str = "", *, selector: str = "", fields: str = "") -> Iterator[dict[str, Any]]:
        """Give the objects of a kind, all namespaces where none is named, page by page."""
        query = {"limit": str(PAGE)}
        if selector:
            query["labelSelector"] = selector
        if fields:
            query["fieldSelector"] = fields
        while True:
            page = self.json("GET", KINDS[kind].path(namespace), query=query)
            yield from page.get("items") or ()
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return
            query["continue"] = more

    def apply(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Make an object so, by server-side apply: fields that are not in it stay whose they are."""
        meta = obj["metadata"]
        path = KINDS[obj["kind"]].path(meta.get("namespace", ""), meta["name"])
        query = {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        return self.json("PATCH", path, query=query, body=obj, content="application/apply-patch+yaml")

    def delete(self, kind: str, namespace: str, name: str, *, uid: str, grace_s: int | None = None) -> bool:
        """Delete the object with this uid and what it owns; say whether it was there. `grace_s`: of a pod, to end."""
        options: dict[str, Any] = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        try:
            self.json("DELETE", KINDS[kind].path(namespace, name), body=options)
        except ClusterError as error:
            if error.status in (404, 409):  # gone, or another one by that name
                return False
            raise
        return True

    def may(self, verb: str, group: str, resource: str, namespace: str = "", subresource: str = "") -> bool:
        """Ask whether we may do this."""
        attributes = {"verb": verb, "group": group, "resource": resource}
        attributes |= {"namespace": namespace} if namespace else {}
        attributes |= {"subresource": subresource} if subresource else {}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = self.json("POST", KINDS["SelfSubjectAccessReview"].path(), body=review)
        return bool(answer.get("status", {}).get("allowed"))


def explain(status: int, body: Any, asked: str) -> ClusterError:
    """Return the error that a Status object of the API server means."""
    try:
        document = json.loads(body or b"")
    except ValueError:
        document = None
    document = document if isinstance(document, dict) else {}
    message = str(document.get("message") or f"{asked} failed with status {status}")
    details = document.get("details") or {}
    hint = ""
    if status == 422 and (causes := details.get("causes")):
        said = "; ".join(f"{each.get('field', '')}: {each.get('message', '')}" for each in causes[:5])
        message = f"{details.get('kind', 'object')} {details.get('name', '')} is refused: {said}"
    elif status == 401:
        message, hint = "the API server does not know who we are", "sign in again; see kube.context"
    elif status == 403:
        hint = 'an administrator can grant it; "kubeshark check" lists what is missing'
    return ClusterError(" ".join(message.split())[:1_000], status=status, hint=hint)


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    said = str(reason if isinstance(reason, BaseException) else error)
    return " ".join(said.rpartition(": ")[2].split())[:200] or type(error).__name__
