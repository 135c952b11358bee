"""A zip of what a deployment says of itself, for whoever looks for its trouble: logs, events, objects; no secret."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubeshark.cluster._apply import PRUNED
from kubeshark.cluster._client import KINDS, Cluster
from kubeshark.cluster._names import LABEL_RELEASE
from kubeshark.errors import ClusterError

__all__ = ["write_logs"]

LINES = 10_000
"""Of a container's log, from its end: what is asked of the API server is bounded by bytes as well."""

LOG_BYTES = 16 << 20
LEFT_OUT = ("Secret",)


def write_logs(cluster: Cluster, namespace: str, release: str, out: Path, grep: str = "") -> list[str]:
    """Write the archive; return what could not be had, a line each. `grep`: keep lines that contain this expression.

    Raise UsageError for what is no expression, ClusterError where pods cannot be listed. A file that is there is
    never replaced: FileExistsError.
    """
    keep = _expression(grep)
    problems: list[str] = []
    selector = f"{LABEL_RELEASE}={release}"
    pods = list(cluster.list("Pod", namespace, selector=selector))
    with out.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for pod in pods:
            for name, text in _logs_of(cluster, namespace, pod, problems):
                lines = [line for line in text.splitlines() if keep(line)]
                archive.writestr(f"logs/{name}.log", "\n".join([*lines, ""]))
        events = [_line(each) for each in cluster.list("Event", namespace)]
        archive.writestr("events.txt", "\n".join([*sorted(events), ""]))
        archive.writestr("pods.json", json.dumps([_plain(pod) for pod in pods], indent=1))
        for kind in PRUNED:
            if kind not in LEFT_OUT:
                within = namespace if KINDS[kind].is_namespaced else ""
                found = [_plain(each) for each in cluster.list(kind, within, selector=selector)]
                archive.writestr(f"objects/{kind}.json", json.dumps(found, indent=1))
    return problems


def _expression(text: str) -> Any:
    if not text:
        return lambda _: True
    import re2  # type: ignore[import-untyped]

    from kubeshark.errors import UsageError

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options=options).search
    except re2.error:
        raise UsageError(f"{text[:100]!r} is no regular expression", hint="see -g") from None


def _logs_of(cluster: Cluster, namespace: str, pod: Mapping[str, Any], problems: list[str]) -> list[tuple[str, str]]:
    """Return name and text of each container's log, and of the one that ended before it."""
    found = []
    name = pod["metadata"]["name"]
    statuses = {each["name"]: each for each in (pod.get("status") or {}).get("containerStatuses") or ()}
    for container in pod["spec"]["containers"]:
        lives = [("", "false")]
        if statuses.get(container["name"], {}).get("restartCount"):
            lives.append((".before", "true"))
        for suffix, is_before in lives:
            query = {
                "container": container["name"], "tailLines": str(LINES), "limitBytes": str(LOG_BYTES),
                "previous": is_before, "timestamps": "true",
            }  # fmt: skip
            try:
                data = cluster.ask("GET", f"{KINDS['Pod'].path(namespace, name)}/log", query=query)
            except ClusterError as error:
                problems.append(f"no log of {name}, {container['name']}{suffix}: {error.message}")
                continue
            found.append((f"{name}.{container['name']}{suffix}", _masked(data.decode("utf-8", "replace"))))
    return found


def _masked(text: str) -> str:
    """Hide what is a key or a token by its look; none should be there."""
    text = re.sub(r"AGE-SECRET-KEY-1[0-9A-Z]+", "***", text)
    return re.sub(r"([?&]token=)[A-Za-z0-9_.~-]+", r"\1***", text)


def _plain(obj: dict[str, Any]) -> dict[str, Any]:
    obj["metadata"].pop("managedFields", None)
    return obj


def _line(event: Mapping[str, Any]) -> str:
    about = event.get("involvedObject") or {}
    when = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""
    said = " ".join(str(event.get("message") or "").split())
    where = f"{about.get('kind', '')}/{about.get('name', '')}"
    return f"{when} {event.get('type', '')} {where} {event.get('reason', '')}: {said}"
