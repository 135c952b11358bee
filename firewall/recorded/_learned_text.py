"""What was learned, as documents to read, correct and keep: our policies, or Kubernetes NetworkPolicies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kubeshark.errors import UsageError
from kubeshark.firewall.policies._inventory import NAME_LABEL
from kubeshark.firewall.policies._policy import API_VERSION, KIND, LabelSelector, PodSelector, Subject
from kubeshark.firewall.recorded._learn import LearnedRule, Lesson
from kubeshark.firewall.rules._rules import Direction, Network, Traffic

__all__ = ["lesson_as_network_policies", "lesson_as_policies"]

MAX_ACCEPTING = 24  # of a direction, beside the one that refuses the rest
NETWORKS_A_LIST = 25
PRIORITY = 500
NAMES: Mapping[int | None, str] = {6: "tcp", 17: "udp", 132: "sctp", 1: "icmp", 58: "icmpv6", None: "any"}
EVERYBODY = '[{networks: ["0.0.0.0/0", "::/0"]}]'


def lesson_as_policies(lesson: Lesson, name: str) -> str:
    """Return FirewallPolicies in mode Audit: rules that accept what was seen, then one that refuses the rest.

    More than 24 rules in a direction become several policies, the refusal in the last.
    """
    ingress, egress = (_chunks(lesson, direction) for direction in Direction)
    count = max(len(ingress), len(egress), 1)
    documents = []
    for at in range(count):
        is_last = at == count - 1
        lines = [*(_head(lesson) if at == 0 else ())]
        lines += [
            f"apiVersion: {API_VERSION}",
            f"kind: {KIND}",
            f"metadata: {{name: {name if at == 0 else f'{name}-{at + 1}'}}}",
        ]
        lines += ["spec:", "  tier: Baseline", f"  priority: {PRIORITY + at}", "  mode: Audit"]
        lines.append(f"  subject: {_flow(_subject(lesson.subject))}")
        for key, peers, chunks in (("ingress", "from", ingress), ("egress", "to", egress)):
            chunk = chunks[at] if at < len(chunks) else []
            if chunk or is_last:
                lines.append(f"  {key}:")
            for rule in chunk:
                lines += _rule(rule, peers)
            if is_last:
                lines.append(f"    - {{name: rest, action: Deny, {peers}: {EVERYBODY}}}")
        documents.append("\n".join(lines) + "\n")
    return "---\n".join(documents)


def lesson_as_network_policies(lesson: Lesson, name: str) -> str:
    """Return a Kubernetes NetworkPolicy for each namespace of the subject; raise UsageError for hosts and interfaces.

    What it cannot say (ICMP, other protocols) is told in comments.
    """
    subject = lesson.subject
    if subject.pods is None and subject.namespaces is None:
        raise UsageError(
            "a NetworkPolicy is about pods, not about a host or interfaces", hint="learn with --format kubeshark"
        )
    pods = subject.pods.pods if subject.pods else LabelSelector()
    documents: list[str] = []
    for namespace in sorted({member.partition("/")[0] for member in lesson.members}):
        lines = [*(_head(lesson) if not documents else ())]
        lines += ["apiVersion: networking.k8s.io/v1", "kind: NetworkPolicy"]
        lines.append(f"metadata: {_flow({'name': name, 'namespace': namespace})}")
        lines += ["spec:", f"  podSelector: {_flow(_selector(pods))}", "  policyTypes: [Ingress, Egress]"]
        for key, peers, direction in (("ingress", "from", Direction.INGRESS), ("egress", "to", Direction.EGRESS)):
            said = [
                line for rule in lesson.rules if rule.direction == direction for line in _kubernetes_rule(rule, peers)
            ]
            has_rule = any(not line.lstrip().startswith("#") for line in said)
            lines += [f"  {key}:" if has_rule else f"  {key}: []", *said]
        documents.append("\n".join(lines) + "\n")
    if not documents:
        raise UsageError("the inventory knows no pod that the subject selects", hint="give --inventory")
    return "---\n".join(documents)


def _chunks(lesson: Lesson, direction: Direction) -> list[list[LearnedRule]]:
    rules = [rule for rule in lesson.rules if rule.direction == direction]
    return [rules[start : start + MAX_ACCEPTING] for start in range(0, len(rules), MAX_ACCEPTING)]


def _head(lesson: Lesson) -> Iterator[str]:
    evidence = lesson.evidence
    window = (
        f"{_moment(evidence.first_ns)} … {_moment(evidence.last_ns)}" if evidence.first_ns is not None else "no traffic"
    )
    many = "s" * (evidence.flows != 1)
    yield f"# Learned from {evidence.flows:,} connection{many}, {window}. It accepts what was seen: read it first."
    for note in lesson.notes:
        yield f"# Not seen: {_comment(note)}."


def _rule(rule: LearnedRule, peers: str) -> Iterator[str]:
    yield f"    # {_evidence(rule)}"
    yield f"    - name: {json.dumps(rule.name, ensure_ascii=False)}"
    yield "      action: Accept"
    yield f"      {peers}:"
    for workload in rule.workloads:
        selector = PodSelector(LabelSelector(((NAME_LABEL, workload.namespace),)), LabelSelector(workload.labels))
        yield f"        - pods: {_flow(_pods(selector))}"
    for some in _lists(rule.networks):
        yield f"        - networks: {_flow(some)}"
    yield f"      protocols: {_flow([_protocol(traffic) for traffic in rule.traffic])}"


def _kubernetes_rule(rule: LearnedRule, peers: str) -> Iterator[str]:
    ports = [_kubernetes_port(traffic) for traffic in rule.traffic if traffic.protocol in (6, 17, 132)]
    other = sorted({NAMES[traffic.protocol] for traffic in rule.traffic if traffic.protocol not in (6, 17, 132)})
    yield f"    # {rule.name}: {_evidence(rule)}"
    if other:
        yield f"    # seen too, and not to be said in a NetworkPolicy: {', '.join(other)}"
    if not ports:
        return
    yield f"    - {peers}:"
    for workload in rule.workloads:
        namespaces = _selector(LabelSelector(((NAME_LABEL, workload.namespace),)))
        pods = _selector(LabelSelector(workload.labels))
        yield f"        - {_flow({'namespaceSelector': namespaces, 'podSelector': pods})}"
    for network in rule.networks:
        yield f"        - ipBlock: {_flow({'cidr': str(network)})}"
    yield f"      ports: {_flow(ports)}"


def _evidence(rule: LearnedRule) -> str:
    times = rule.times
    plural = "s" * (times.flows != 1)
    return f"{times.flows:,} flow{plural}, {_moment(times.first_ns)} … {_moment(times.last_ns)}"


def _protocol(traffic: Traffic) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if traffic.asks_ports:
        is_one = traffic.first_port == traffic.last_port
        number = {"number": traffic.first_port}
        span = {"range": {"start": max(1, traffic.first_port), "end": traffic.last_port}}
        asked = {"destinationPort": number if is_one else span}
    if traffic.icmp_type is not None:
        asked = {"type": traffic.icmp_type}
        if traffic.icmp_code is not None:
            asked["code"] = traffic.icmp_code
    return {NAMES[traffic.protocol]: asked}


def _kubernetes_port(traffic: Traffic) -> dict[str, Any]:
    port: dict[str, Any] = {"protocol": NAMES[traffic.protocol].upper()}
    if traffic.asks_ports:
        port["port"] = traffic.first_port
        if traffic.last_port != traffic.first_port:
            port["endPort"] = traffic.last_port
    return port


def _subject(subject: Subject) -> dict[str, Any]:
    if subject.pods is not None:
        return {"pods": _pods(subject.pods)}
    if subject.namespaces is not None:
        return {"namespaces": _selector(subject.namespaces)}
    return {"host": True} if subject.is_host else {"interfaces": list(subject.interfaces)}


def _pods(selector: PodSelector) -> dict[str, Any]:
    return {"namespaceSelector": _selector(selector.namespaces), "podSelector": _selector(selector.pods)}


def _selector(selector: LabelSelector) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if selector.labels:
        found["matchLabels"] = dict(selector.labels)
    if selector.expressions:
        found["matchExpressions"] = [
            {"key": each.key, "operator": each.operator, **({"values": list(each.values)} if each.values else {})}
            for each in selector.expressions
        ]
    return found


def _lists(networks: Sequence[Network]) -> Iterator[list[str]]:
    for start in range(0, len(networks), NETWORKS_A_LIST):
        yield [str(network) for network in networks[start : start + NETWORKS_A_LIST]]


def _flow(value: Any) -> str:
    """Return YAML on one line. Texts that are no plain words are quoted as in JSON, which YAML reads too."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(inside)}" for key, inside in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9/._-]*", value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def _comment(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _moment(time_ns: int | None) -> str:
    seconds = min((time_ns or 0) // 10**9, 250_000_000_000)
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}"
