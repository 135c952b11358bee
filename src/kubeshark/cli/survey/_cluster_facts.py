"""What the survey asks a cluster: contexts, namespaces, pods, storage classes. Reads only, and not for long."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ClusterFacts", "Facts", "Pod", "contexts", "kubeconfig_path"]

ANSWER_S = 3.0
PAGE = 500


class Pod(NamedTuple):
    namespace: str
    name: str


class Facts(Protocol):
    """What is known of a cluster."""

    def namespaces(self) -> list[str]: ...
    def pods(self) -> list[Pod]: ...
    def storage_classes(self) -> tuple[list[str], str]: ...


def kubeconfig_path(given: str = "") -> Path | None:
    """Return the kubeconfig file that is used; None where there is none."""
    named = given or os.environ.get("KUBECONFIG", "").split(os.pathsep)[0] or "~/.kube/config"
    path = Path(named).expanduser()
    return path if path.is_file() else None


def contexts(kubeconfig: str = "") -> tuple[list[str], str]:
    """Return the contexts of the kubeconfig, and the current one; none without a file. Raise UsageError."""
    path = kubeconfig_path(kubeconfig)
    if path is None:
        return [], ""
    from kubeshark._document import Listing, Mapping, Scalar, read_documents

    documents = read_documents(path.read_bytes(), str(path))
    fields = (
        {key.text: value for key, value in documents[0].fields}
        if documents and isinstance(documents[0], Mapping)
        else {}
    )
    listed, current = fields.get("contexts"), fields.get("current-context")
    names = []
    for item in listed.items if isinstance(listed, Listing) else ():
        for key, value in item.fields if isinstance(item, Mapping) else ():
            if key.text == "name" and isinstance(value, Scalar):
                names.append(value.text)
    return names, current.text if isinstance(current, Scalar) else ""


class ClusterFacts:
    """A cluster through its API server, each answer asked for once."""

    def __init__(self, context: str, kubeconfig: str = "") -> None:
        """Raise UsageError if it does not answer within ANSWER_S seconds."""
        import logging

        from kubernetes import client, config

        logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries are ours to tell
        path = kubeconfig_path(kubeconfig)
        try:
            settings = client.Configuration()
            settings.retries = False
            config.load_kube_config(  # type: ignore[no-untyped-call]
                str(path) if path else None, context or None, client_configuration=settings, persist_config=False
            )
        except (config.ConfigException, OSError) as error:
            raise UsageError(f"context {context!r}: {str(error).splitlines()[0][:200]}") from None
        api = client.ApiClient(settings)
        self._core, self._storage = client.CoreV1Api(api), client.StorageV1Api(api)
        self._cache: dict[str, Any] = {}
        self.namespaces()

    def namespaces(self) -> list[str]:
        found = self._all("namespaces", self._core.list_namespace)
        return sorted(each.metadata.name for each in found)

    def pods(self) -> list[Pod]:
        found = self._all("pods", self._core.list_pod_for_all_namespaces)
        return sorted(Pod(each.metadata.namespace, each.metadata.name) for each in found)

    def storage_classes(self) -> tuple[list[str], str]:
        """Return the names, and the cluster's default, "" if it has none."""
        found = self._all("storage classes", self._storage.list_storage_class)
        mark = "storageclass.kubernetes.io/is-default-class"
        default = [each.metadata.name for each in found if (each.metadata.annotations or {}).get(mark) == "true"]
        return sorted(each.metadata.name for each in found), default[0] if default else ""

    def _all(self, what: str, ask: Callable[..., Any]) -> list[Any]:
        """Return all pages of a list; raise UsageError with what the server, or the network, says."""
        if what in self._cache:
            found: list[Any] = self._cache[what]
            return found
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        found, after = [], ""
        try:
            while True:
                page = ask(limit=PAGE, _continue=after or None, _request_timeout=(ANSWER_S, ANSWER_S))
                found += page.items
                after = page.metadata._continue or ""
                if not after:
                    break
        except ApiException as error:
            raise UsageError(f"{what} cannot be listed: the API server says {error.status} {error.reason}") from None
        except (HTTPError, OSError) as error:
            raise UsageError(f"the cluster does not answer: {_short(error)}") from None
        self._cache[what] = found
        return found


def _short(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason).rsplit(": ", 1)[-1][:200] or type(error).__name__
