"""Who has which address: what selectors are resolved by. From a small file, or what `kubectl get -o json` prints.

Nothing here asks a cluster: the same inventory gives the same rules, on recorded traffic too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from kubeshark._document import MAX_DEPTH, DocumentError, Listing, Node, Place, Scalar, read_documents
from kubeshark._document import Mapping as Fields
from kubeshark.firewall.policies._schema import Dictionary, Items, Structure, Switch, Text
from kubeshark.firewall.rules._rules import Network

__all__ = [
    "Inventory",
    "Namespace",
    "NodeInfo",
    "Pod",
    "inventory_of",
    "load_inventory",
    "parse_inventory",
    "read_object",
]

MAX_JSON_BYTES = 64 << 20
MAX_THINGS = 20_000
NAME_LABEL = "kubernetes.io/metadata.name"
"""Kubernetes gives it to every namespace."""


@dataclass(frozen=True, slots=True)
class Pod:
    name: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[Network, ...] = ()
    node: str = ""
    is_on_host_network: bool = False

    @property
    def path(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class NodeInfo:
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[Network, ...] = ()
    pod_networks: tuple[Network, ...] = ()  # where its pods get their addresses


@dataclass(frozen=True, slots=True)
class Namespace:
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inventory:
    pods: tuple[Pod, ...] = ()
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # labels by name
    nodes: tuple[NodeInfo, ...] = ()
    names: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)  # addresses by domain name, small letters
    interfaces: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)  # of the machine, with their addresses
    host: tuple[Network, ...] = ()  # addresses of the machine itself
    apiserver: tuple[Network, ...] = ()
    other_pod_networks: tuple[Network, ...] = ()  # besides those of the nodes
    exempt: tuple[Network, ...] = ()  # addresses that no policy judges

    @property
    def pod_networks(self) -> tuple[Network, ...]:
        """Where pods get their addresses; empty: not known."""
        return (*self.other_pod_networks, *(network for node in self.nodes for network in node.pod_networks))

    def labels_of(self, namespace: str) -> Mapping[str, str]:
        return {NAME_LABEL: namespace, **self.namespaces.get(namespace, {})}

    def addresses_of_name(self, pattern: str) -> tuple[Network, ...]:
        """Return the addresses of a domain name, or of all names behind `*.`."""
        if pattern.startswith("*."):
            tail = pattern[1:]
            return tuple(network for name, found in self.names.items() if name.endswith(tail) for network in found)
        return self.names.get(pattern, ())


def _address(text: str) -> Network:
    try:
        return ip_network(ip_address(text))
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no address") from None


def _block(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is neither an address nor a network") from None


_NAME = Text("", r"[^\s\x00-\x1f\x7f]+", "a name")
_LABELS = Dictionary(Text("", max_length=317), Text("", max_length=253))
_ADDRESSES = Items(Text("", max_length=49, parse=_address), 64, can_be_empty=True)
_BLOCKS = Items(Text("", max_length=49, parse=_block), 1024, can_be_empty=True)

_INVENTORY = Structure(
    {
        "namespaces": Items(Structure({"name": _NAME, "labels": _LABELS}, ("name",)), MAX_THINGS, can_be_empty=True),
        "pods": Items(
            Structure(
                {
                    "name": _NAME,
                    "namespace": _NAME,
                    "labels": _LABELS,
                    "addresses": _ADDRESSES,
                    "node": _NAME,
                    "hostNetwork": Switch(),
                },
                ("name", "namespace", "addresses"),
                lambda given, _node, _path: Pod(
                    given["name"],
                    given["namespace"],
                    given.get("labels", {}),
                    given["addresses"],
                    given.get("node", ""),
                    given.get("hostNetwork", False),
                ),
            ),
            MAX_THINGS,
            can_be_empty=True,
        ),
        "nodes": Items(
            Structure(
                {"name": _NAME, "labels": _LABELS, "addresses": _ADDRESSES, "podNetworks": _BLOCKS},
                ("name", "addresses"),
                lambda given, _node, _path: NodeInfo(
                    given["name"], given.get("labels", {}), given["addresses"], given.get("podNetworks", ())
                ),
            ),
            MAX_THINGS,
            can_be_empty=True,
        ),
        "names": Dictionary(Text("", max_length=253, parse=lambda text: text.lower().rstrip(".")), _BLOCKS, MAX_THINGS),
        "interfaces": Dictionary(Text("", max_length=15), _BLOCKS, 1024),
        "host": _BLOCKS,
        "apiserver": _ADDRESSES,
        "podNetworks": _BLOCKS,
    },
    make=lambda given, _node, _path: Inventory(
        pods=given.get("pods", ()),
        namespaces={each["name"]: each.get("labels", {}) for each in given.get("namespaces", ())},
        nodes=given.get("nodes", ()),
        names=given.get("names", {}),
        interfaces=given.get("interfaces", {}),
        host=given.get("host", ()),
        apiserver=given.get("apiserver", ()),
        other_pod_networks=given.get("podNetworks", ()),
    ),
)


def load_inventory(file: str | Path) -> Inventory:
    """Return what a file says; raise DocumentError or OSError."""
    with Path(file).open("rb") as stream:
        return parse_inventory(stream.read(MAX_JSON_BYTES + 1), str(file))


def parse_inventory(data: bytes, file: str) -> Inventory:
    """Return what a YAML or JSON text says, or a Kubernetes List of pods, namespaces and nodes; raise DocumentError."""
    if not data.lstrip().startswith(b"{"):
        nodes = read_documents(data, file)
        if len(nodes) != 1:
            raise DocumentError("is one document", file=file)
        return _checked(nodes[0])
    if len(data) > MAX_JSON_BYTES:
        raise DocumentError(f"more than {MAX_JSON_BYTES >> 20} MiB", file=file)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"not JSON: {error}", file=file) from None
    if "items" in value or value.get("kind") in ("Pod", "Namespace", "Node"):
        return _of_kubernetes(value.get("items", [value]), file)
    return _checked(_as_node(value, Place(file, 0, 0)))


def _checked(node: Node) -> Inventory:
    found: Inventory = _INVENTORY.check(node, "")
    return found


def _as_node(value: Any, place: Place, depth: int = 0) -> Node:
    if depth > MAX_DEPTH:
        raise place.error(f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        return Fields(
            tuple((Scalar(key, True, place), _as_node(inside, place, depth + 1)) for key, inside in value.items()),
            place,
        )
    if isinstance(value, list):
        return Listing(tuple(_as_node(inside, place, depth + 1) for inside in value), place)
    if isinstance(value, str):
        return Scalar(value, True, place)
    return Scalar(json.dumps(value), False, place)


def _of_kubernetes(items: Any, file: str) -> Inventory:
    try:
        return inventory_of(read_object(item["kind"], item) for item in items)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DocumentError(f"not a List of Kubernetes objects: {error}", file=file) from None


def inventory_of(things: Iterable[Pod | NodeInfo | Namespace | None], base: Inventory | None = None) -> Inventory:
    """Return an inventory of these pods, nodes and namespaces, and what else `base` knows."""
    pods: list[Pod] = []
    nodes: list[NodeInfo] = []
    namespaces: dict[str, Mapping[str, str]] = {}
    for thing in things:
        match thing:
            case Pod():
                pods.append(thing)
            case NodeInfo():
                nodes.append(thing)
            case Namespace():
                namespaces[thing.name] = thing.labels
    return replace(base or Inventory(), pods=tuple(pods), namespaces=namespaces, nodes=tuple(nodes))


def read_object(kind: str, item: Mapping[str, Any]) -> Pod | NodeInfo | Namespace | None:
    """Return what an object of Kubernetes is here: None for a pod that ended, and other kinds.

    Raise KeyError, TypeError, AttributeError or ValueError for what is no such object.
    """
    metadata = item["metadata"]
    name, labels = str(metadata["name"]), {str(k): str(v) for k, v in (metadata.get("labels") or {}).items()}
    status, spec = item.get("status") or {}, item.get("spec") or {}
    match kind:
        case "Pod" if status.get("phase") not in ("Succeeded", "Failed"):
            listed = [each["ip"] for each in status.get("podIPs") or ()]
            addresses = tuple(map(_address, listed or filter(None, [status.get("podIP")])))
            on_host = bool(spec.get("hostNetwork"))
            namespace = str(metadata.get("namespace", "default"))
            return Pod(name, namespace, labels, addresses, str(spec.get("nodeName") or ""), on_host)
        case "Namespace":
            return Namespace(name, labels)
        case "Node":
            listed = [each["address"] for each in status.get("addresses") or () if str(each["type"]).endswith("IP")]
            networks = spec.get("podCIDRs") or filter(None, [spec.get("podCIDR")])
            return NodeInfo(name, labels, tuple(map(_address, listed)), tuple(map(_block, networks)))
    return None
