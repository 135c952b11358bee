"""FirewallPolicy documents: read, checked with line, column and path of what is wrong, and as dataclasses.

The shape is Kubernetes ClusterNetworkPolicy's; `POLICY` is the one place that says what it takes, `policy_schema` the
same as JSON Schema. What is not known is refused: a misread policy would be an open door.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from kubeshark._document import MAX_BYTES, DocumentError, Node, read_documents
from kubeshark.errors import UsageError
from kubeshark.firewall.policies._schema import (
    Dictionary,
    Duration,
    Enumeration,
    Form,
    Items,
    Number,
    OneOf,
    Structure,
    Switch,
    Text,
)
from kubeshark.firewall.rules._rules import Action, Direction, Network, Tier, Traffic

__all__ = [
    "API_VERSION",
    "KIND",
    "Expression",
    "LabelSelector",
    "Peer",
    "PodSelector",
    "Policy",
    "PolicyRule",
    "Subject",
    "load_policies",
    "parse_policies",
    "parse_subject",
    "policy_schema",
]

API_VERSION = "kubeshark.io/v1"
KIND = "FirewallPolicy"
MAX_POLICIES = 500  # of one file
MAX_RULES_A_DIRECTION = 25  # as ClusterNetworkPolicy
MAX_NETWORKS = 25
DEFAULT_CONFIRM_S = 60

PROTOCOLS: Mapping[str, int | None] = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "icmpv6": 58, "any": None}
Mode = Literal["Enforce", "Audit"]


@dataclass(frozen=True, slots=True)
class Expression:
    key: str
    operator: str  # In, NotIn, Exists, DoesNotExist
    values: tuple[str, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Kubernetes' own: all of it must hold; without anything it selects all."""

    labels: tuple[tuple[str, str], ...] = ()
    expressions: tuple[Expression, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.labels) and all(
            expression.selects(labels) for expression in self.expressions
        )


@dataclass(frozen=True, slots=True)
class PodSelector:
    namespaces: LabelSelector
    pods: LabelSelector


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose traffic is judged: one of these is set."""

    namespaces: LabelSelector | None = None
    pods: PodSelector | None = None
    interfaces: tuple[str, ...] = ()  # names, globs
    is_host: bool = False

    @property
    def is_all_pods(self) -> bool:
        everything = LabelSelector()
        return everything == self.namespaces or PodSelector(everything, everything) == self.pods


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end: one of these is set."""

    namespaces: LabelSelector | None = None
    pods: PodSelector | None = None
    networks: tuple[Network, ...] = ()
    nodes: LabelSelector | None = None
    domain_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyRule:
    name: str
    direction: Direction
    action: Action
    peers: tuple[Peer, ...]
    traffic: tuple[Traffic, ...]  # empty: all


@dataclass(frozen=True, slots=True)
class Policy:
    name: str
    tier: Tier
    priority: int
    subject: Subject
    rules: tuple[PolicyRule, ...]  # ingress, then egress, each as written
    mode: Mode = "Audit"
    ttl_s: int = 0  # 0: stays
    says_mode: bool = True
    confirm_asked_s: int | None = None  # None: it does not say
    strict_fragments: bool = False  # later fragments are judged, too, by rules that ask for no port
    unknown_peer: Literal["", "allow", "deny"] = ""  # what selectors make of a pod that nobody knows yet; "": nothing
    tcp_by_flags: bool = False  # of TCP only what opens a connection is judged
    labels: Mapping[str, str] = field(default_factory=dict)
    file: str = ""

    @property
    def confirm_within_s(self) -> int:
        """How long there is to confirm it, 0: for good at once. What could lock everybody out asks by itself."""
        if self.confirm_asked_s is not None:
            return self.confirm_asked_s
        risks_lock_out = self.mode == "Enforce" and (self.subject.is_host or self.subject.is_all_pods)
        return DEFAULT_CONFIRM_S if risks_lock_out else 0

    def with_default(self, mode: Mode) -> Policy:
        """Return it with this mode, unless it says one."""
        return self if self.says_mode else replace(self, mode=mode)

    @property
    def order(self) -> tuple[Tier, int, str]:
        """Where it stands among others."""
        return self.tier, self.priority, self.name


_KEY = Text("label name", r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", "a label's name", 317)
_VALUE = Text("label value", r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", "a label's value", 63)


def _expression(given: dict[str, Any], node: Node, path: str) -> Expression:
    takes_values = given["operator"] in ("In", "NotIn")
    if takes_values != ("values" in given):
        raise node.place.error(f"{given['operator']} takes {'values' if takes_values else 'no values'}", path=path)
    return Expression(given["key"], given["operator"], given.get("values", ()))


def _selector(given: dict[str, Any], _node: Node, _path: str) -> LabelSelector:
    return LabelSelector(tuple(given.get("matchLabels", {}).items()), given.get("matchExpressions", ()))


_SELECTOR = Structure(
    {
        "matchLabels": Dictionary(_KEY, _VALUE),
        "matchExpressions": Items(
            Structure(
                {
                    "key": _KEY,
                    "operator": Enumeration(("In", "NotIn", "Exists", "DoesNotExist")),
                    "values": Items(_VALUE, 100),
                },
                ("key", "operator"),
                _expression,
            ),
            25,
        ),
    },
    make=_selector,
    description="{} selects all",
)
_PODS = Structure(
    {"namespaceSelector": _SELECTOR, "podSelector": _SELECTOR},
    ("namespaceSelector", "podSelector"),
    lambda given, _node, _path: PodSelector(given["namespaceSelector"], given["podSelector"]),
    "pods on the host network are never selected",
)


def _subject(given: dict[str, Any], _node: Node, _path: str) -> Subject:
    return Subject(given.get("namespaces"), given.get("pods"), given.get("interfaces", ()), given.get("host", False))


_SUBJECT = OneOf(
    {
        "namespaces": _SELECTOR,
        "pods": _PODS,
        "interfaces": Items(Text("name, or a glob with * and ?", r"[A-Za-z0-9_.:*?@-]{1,15}", "an interface", 15), 64),
        "host": Switch(only=True),
    },
    make=_subject,
    description="whose traffic is judged",
)


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text[:60]!r} is no network: {error}") from None


_DOMAIN = Text(
    "a name, or *. and a name",
    r"(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?",
    "a domain name, or one behind *.",
    parse=lambda text: text.lower().rstrip("."),
)
_NETWORKS = Items(Text("CIDR", max_length=49, parse=_network), MAX_NETWORKS)
_FROM: dict[str, Form] = {"namespaces": _SELECTOR, "pods": _PODS, "networks": _NETWORKS}
_TO: dict[str, Form] = {**_FROM, "nodes": _SELECTOR, "domainNames": Items(_DOMAIN, 25)}


def _peer(given: dict[str, Any], _node: Node, _path: str) -> Peer:
    return Peer(
        given.get("namespaces"),
        given.get("pods"),
        given.get("networks", ()),
        given.get("nodes"),
        given.get("domainNames", ()),
    )


def _range(given: dict[str, Any], node: Node, path: str) -> tuple[int, int]:
    if given["start"] > given["end"]:
        raise node.place.error(f"starts at {given['start']}, behind its end {given['end']}", path=path)
    return given["start"], given["end"]


_PORT = Number(1, 65535)
_PORTS = Structure(
    {
        "destinationPort": OneOf(
            {"number": _PORT, "range": Structure({"start": _PORT, "end": _PORT}, ("start", "end"), _range)},
            make=lambda given, _node, _path: given.get("range") or (given["number"], given["number"]),
        )
    },
    description="{} is every port",
)


def _icmp(given: dict[str, Any], node: Node, path: str) -> dict[str, Any]:
    if "code" in given and "type" not in given:
        raise node.place.error("a code needs its type", path=path)
    return given


_ICMP = Structure({"type": Number(0, 255), "code": Number(0, 255)}, make=_icmp, description="{} is every type")


def _traffic(given: dict[str, Any], _node: Node, _path: str) -> Traffic:
    [(name, asked)] = given.items()
    first, last = asked.get("destinationPort", (0, 65535))
    return Traffic(PROTOCOLS[name], first, last, asked.get("type"), asked.get("code"))


_PROTOCOLS = Items(
    OneOf(
        {
            "tcp": _PORTS,
            "udp": _PORTS,
            "sctp": _PORTS,
            "icmp": _ICMP,
            "icmpv6": _ICMP,
            "any": Structure({}, description="every protocol"),
        },
        make=_traffic,
    ),
    25,
)


def _rules(direction: Direction) -> Items:
    peers = "from" if direction == Direction.INGRESS else "to"

    def make(given: dict[str, Any], node: Node, path: str) -> PolicyRule:
        action = Action[given["action"].upper()]
        if action != Action.ACCEPT and any(peer.domain_names for peer in given[peers]):
            hint = "deny networks, and accept names before"
            raise node.place.error(
                f"domainNames with {given['action']}: another resolver would evade it",
                path=f"{path}.{peers}",
                hint=hint,
            )
        return PolicyRule(given.get("name", ""), direction, action, given[peers], given.get("protocols", ()))

    form = Structure(
        {
            "name": Text(
                "unique in its direction", r"[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?", "a name", 100
            ),
            "action": Enumeration(("Accept", "Deny", "Reject", "Pass", "Audit")),
            peers: Items(
                OneOf(_FROM if direction == Direction.INGRESS else _TO, make=_peer), 100, "nobody, or everybody?"
            ),
            "protocols": _PROTOCOLS,
        },
        ("action", peers),
        make,
    )
    return Items(form, MAX_RULES_A_DIRECTION, "no rule")


_METADATA = Structure(
    {
        "name": Text("", r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", "a name: small letters, digits, - and ."),
        "labels": Dictionary(_KEY, _VALUE),
        "annotations": Dictionary(_KEY, Text("", max_length=4096)),
    },
    ("name",),
)


def _spec(given: dict[str, Any], node: Node, path: str) -> dict[str, Any]:
    rules: list[PolicyRule] = []
    for name in ("ingress", "egress"):
        names: set[str] = set()
        for index, rule in enumerate(given.get(name, ())):
            if rule.name and rule.name in names:
                raise node.place.error(f"{rule.name!r} is given twice", path=f"{path}.{name}[{index}].name")
            names.add(rule.name)
            rules.append(rule if rule.name else _named(rule, f"rule-{index}"))
    if not rules:
        raise node.place.error("no rule, neither ingress nor egress", path=path)
    return {**given, "rules": tuple(rules)}


def _named(rule: PolicyRule, name: str) -> PolicyRule:
    return PolicyRule(name, rule.direction, rule.action, rule.peers, rule.traffic)


_SPEC = Structure(
    {
        "tier": Enumeration(("Admin", "Baseline")),
        "priority": Number(0, 1000, "lower first; the name breaks ties"),
        "mode": Enumeration(("Enforce", "Audit"), "default: firewall.defaultMode, Audit"),
        "ttl": Duration("removed after; 0 stays"),
        "confirmWithin": Duration("reverted unless confirmed", 86_400),
        "fragments": Enumeration(
            ("pass", "strict"), "later ones pass with the first, or are judged by rules that ask for no port"
        ),
        "unknownPeer": Enumeration(
            ("allow", "deny"),
            "of an address in the networks of pods that no pod is known to have; default: no selector matches it",
        ),
        "stateful": Enumeration(
            ("flows", "flags"), "replies are known by their flow, or TCP's by its flags, which anybody can set"
        ),
        "subject": _SUBJECT,
        "ingress": _rules(Direction.INGRESS),
        "egress": _rules(Direction.EGRESS),
    },
    ("tier", "priority", "subject"),
    _spec,
)


def _policy(given: dict[str, Any], node: Node, _path: str) -> Policy:
    spec = given["spec"]
    return Policy(
        name=given["metadata"]["name"],
        tier=Tier[spec["tier"].upper()],
        priority=spec["priority"],
        subject=spec["subject"],
        rules=spec["rules"],
        mode=spec.get("mode", "Audit"),
        says_mode="mode" in spec,
        ttl_s=spec.get("ttl", 0),
        confirm_asked_s=spec.get("confirmWithin"),
        strict_fragments=spec.get("fragments") == "strict",
        unknown_peer=spec.get("unknownPeer", ""),
        tcp_by_flags=spec.get("stateful") == "flags",
        labels=given["metadata"].get("labels", {}),
        file=node.place.file,
    )


POLICY = Structure(
    {
        "apiVersion": Enumeration((API_VERSION,)),
        "kind": Enumeration((KIND,)),
        "metadata": _METADATA,
        "spec": _SPEC,
    },
    ("apiVersion", "kind", "metadata", "spec"),
    _policy,
)


def parse_subject(text: str) -> Subject:
    """Return the subject that a command names; raise UsageError.

    host; interface:eth0,wg*; namespace:shop; pods:shop/app=db,tier=x; pods:app=db; or as in a policy: {pods: {…}}.
    """
    if text.startswith("{"):
        nodes = read_documents(text.encode(), "subject")
        found: Subject = _SUBJECT.check(nodes[0], "subject")
        return found
    kind, _, rest = text.partition(":")
    if text == "host":
        return Subject(is_host=True)
    if kind == "interface" and rest:
        return Subject(interfaces=tuple(rest.split(",")))
    if kind == "namespace" and rest:
        return Subject(namespaces=_in_namespace(rest))
    if kind == "pods" and rest:
        namespace, slash, wanted = rest.rpartition("/")
        labels = [label.partition("=") for label in wanted.split(",") if label]
        if all(is_label and value for _, is_label, value in labels):
            pods = LabelSelector(tuple((key, value) for key, _, value in labels))
            return Subject(pods=PodSelector(_in_namespace(namespace) if slash else LabelSelector(), pods))
    raise UsageError(
        f"{text[:80]!r} names no subject",
        hint="write host, interface:eth0, namespace:shop, pods:shop/app=db, or {pods: {…}} as in a policy",
    )


def _in_namespace(name: str) -> LabelSelector:
    return LabelSelector((("kubernetes.io/metadata.name", name),))


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of a policy."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": KIND,
        "description": "What the firewall does with the traffic of its subject",
        **POLICY.json_schema(),
    }


def parse_policies(data: bytes, file: str) -> list[Policy]:
    """Return the policies of a YAML or JSON text; raise DocumentError for the first thing that is wrong."""
    nodes = read_documents(data, file)
    if not nodes:
        raise DocumentError("no policy in it", file=file)
    if len(nodes) > MAX_POLICIES:
        raise DocumentError(f"{len(nodes):,} policies, at most {MAX_POLICIES}", file=file)
    policies: list[Policy] = [POLICY.check(node, "") for node in nodes]
    _refuse_twice(policies)
    return policies


def load_policies(files: Iterable[str | Path]) -> list[Policy]:
    """Return the policies of these files, and of the .yaml, .yml and .json files of folders among them.

    Raises DocumentError, UsageError for a folder without policies, OSError.
    """
    policies: list[Policy] = []
    for file in map(Path, files):
        found = [file]
        if file.is_dir():
            found = sorted(path for path in file.iterdir() if path.suffix in (".yaml", ".yml", ".json"))
            if not found:
                raise UsageError(f"no policy in {file}", hint="policies are .yaml, .yml or .json files")
        for path in found:
            with path.open("rb") as stream:
                policies += parse_policies(stream.read(MAX_BYTES + 1), str(path))
    _refuse_twice(policies)
    return policies


def _refuse_twice(policies: Iterable[Policy]) -> None:
    seen: dict[str, str] = {}
    for policy in policies:
        if policy.name in seen:
            raise DocumentError(f"policy {policy.name!r} is given twice, also in {seen[policy.name]}", file=policy.file)
        seen[policy.name] = policy.file
