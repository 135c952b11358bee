"""Who has which address in a cluster now, as names of a store; and how they follow those of an earlier look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from kubeshark.core_capture.store import NameRecord

__all__ = ["NAMED_KINDS", "follow_names", "name_of", "present_names", "same_name"]

SECOND_NS = 1_000_000_000
ENDED = ("Succeeded", "Failed")
"""Phases of a pod that has given its address back."""

MAX_TEXT = 253
MAX_LABELS = 128
MAX_ADDRESSES = 1_024


def present_names(listed: Callable[[str], Iterable[Mapping[str, Any]]], now_ns: int) -> list[NameRecord]:
    """Return who has which address; `listed` gives the objects of one of NAMED_KINDS as the API server has them.

    Pods on the host's network have the node's address, and so the node's name. Who answers for a service has its name,
    too: behind a node's translation packets hold the address of a pod.
    """
    found = [name_of(kind, each, now_ns) for kind in NAMED_KINDS for each in listed(kind)]
    return [record for record in found if record is not None]


def name_of(kind: str, thing: Mapping[str, Any], now_ns: int) -> NameRecord | None:
    """Return the name of one pod, service, node or endpoint slice; None where it has no address of its own."""
    return _READERS[kind](thing, now_ns)


def follow_names(known: Iterable[NameRecord], present: Iterable[NameRecord], now_ns: int) -> list[NameRecord]:
    """Return the names after a look: what is gone ended now, what is new begins, everything else goes on as it was.

    Hosts come from elsewhere and stay.
    """
    left = {same_name(record): record for record in present}
    names = []
    for record in known:
        if record.until_ns is not None or record.kind == "host" or left.pop(same_name(record), None) is not None:
            names.append(record)
        else:
            names.append(msgspec.structs.replace(record, until_ns=now_ns))
    return [*names, *left.values()]


def same_name(record: NameRecord) -> bytes:
    """Return what two records have in common that differ in their times alone."""
    return msgspec.json.encode(msgspec.structs.replace(record, since_ns=0, until_ns=None))


def _pod(pod: Mapping[str, Any], now_ns: int) -> NameRecord | None:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    if spec.get("hostNetwork") or status.get("phase") in ENDED:
        return None
    addresses = [each.get("ip", "") for each in status.get("podIPs") or ()] or [status.get("podIP", "")]
    owners = (pod["metadata"].get("ownerReferences")) or ()
    owner = next((f"{each['kind']}/{each['name']}" for each in owners if each.get("controller")), "")
    since = min(now_ns, _time(status.get("startTime")) or now_ns)
    where = {"node": spec.get("nodeName", ""), "node_address": status.get("hostIP", "")}
    return _record("pod", pod, addresses, since, owner=owner, **where)


def _service(service: Mapping[str, Any], now_ns: int) -> NameRecord | None:
    spec = service.get("spec") or {}
    addresses = [*(spec.get("clusterIPs") or [spec.get("clusterIP", "")]), *(spec.get("externalIPs") or ())]
    addresses += [
        each.get("ip", "") for each in (service.get("status") or {}).get("loadBalancer", {}).get("ingress", ())
    ]
    return _record("service", service, addresses, _made(service, now_ns))


def _slice(found: Mapping[str, Any], now_ns: int) -> NameRecord | None:
    """Read a discovery.k8s.io/v1 EndpointSlice: the addresses that are ready, under the name of its service."""
    name = (found["metadata"].get("labels") or {}).get("kubernetes.io/service-name")
    if not name or found.get("addressType") == "FQDN":
        return None
    ready = [each for each in found.get("endpoints") or () if (each.get("conditions") or {}).get("ready") is not False]
    addresses = [address for each in ready for address in each.get("addresses") or ()]
    named = {**found, "metadata": {**found["metadata"], "name": name}}
    return _record("service", named, addresses[:MAX_ADDRESSES], _made(found, now_ns))


def _node(node: Mapping[str, Any], now_ns: int) -> NameRecord | None:
    listed = (node.get("status") or {}).get("addresses") or ()
    addresses = [each["address"] for each in listed if each.get("type") in ("InternalIP", "ExternalIP")]
    return _record("node", node, addresses, _made(node, now_ns))


def _record(
    kind: Any, thing: Mapping[str, Any], addresses: Iterable[str], since: int, **more: str
) -> NameRecord | None:
    meta = thing["metadata"]
    known = tuple(dict.fromkeys(each for each in addresses if each and each != "None"))
    if not known:
        return None
    labels = dict(list((meta.get("labels") or {}).items())[:MAX_LABELS])
    name, namespace = meta["name"][:MAX_TEXT], meta.get("namespace", "")
    return NameRecord(kind=kind, name=name, namespace=namespace, addresses=known, since_ns=since, labels=labels, **more)  # type: ignore[arg-type]


def _made(thing: Mapping[str, Any], now_ns: int) -> int:
    return min(now_ns, _time(thing["metadata"].get("creationTimestamp")) or now_ns)


def _time(text: str | None) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND_NS if text else 0


_READERS = {"Pod": _pod, "Service": _service, "Node": _node, "EndpointSlice": _slice}
NAMED_KINDS = tuple(_READERS)
