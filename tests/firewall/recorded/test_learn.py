"""What is learned accepts what was seen, opens little more, and says what was not seen."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest

from kubeshark.errors import UsageError
from kubeshark.firewall import (
    Coverage,
    Direction,
    Inventory,
    Traffic,
    compile_policies,
    learn,
    parse_policies,
    simulate,
)
from kubeshark.firewall.policies._inventory import parse_inventory
from kubeshark.firewall.policies._policy import Subject, parse_subject
from kubeshark.firewall.recorded._learn import Workload
from kubeshark.firewall.recorded._learned_text import lesson_as_policies
from kubeshark.firewall.recorded._simulate import address_text
from tests.conftest import ROOT, captures_folder
from tests.firewall._policies import inventory
from tests.firewall._recorded import Connections, flow, of_file, recorded

HOST = parse_inventory(b"host: [192.0.2.5]", "i")
DB = parse_subject("pods:shop/app=db")


def test_workloads_by_labels_and_ports_together() -> None:
    batch = recorded(
        [
            flow("10.30.0.7", "10.20.0.1", 5432),
            flow("10.30.0.7", "10.20.0.2", 5432),
            flow("10.30.0.7", "10.20.0.2", 5433),
            flow("10.20.0.2", "10.96.0.10", 53, 17),
        ]
    )
    lesson = learn([batch], DB, inventory())
    [stock, dns] = lesson.rules
    assert (stock.name, stock.workloads, stock.networks) == (
        "from-stock-tcp-5432-5433",
        (Workload("shop", (("app", "stock"),)),),
        (),
    )
    assert stock.traffic == (Traffic(6, 5432, 5433),) and stock.times.flows == 3
    assert (dns.direction, dns.name, dns.traffic) == (Direction.EGRESS, "to-dns-udp-53", (Traffic(17, 53, 53),))
    by_cidr = learn([batch], DB, inventory(), group="cidr").rules
    assert [(rule.workloads, [str(each) for each in rule.networks]) for rule in by_cidr] == [
        ((), ["10.30.0.7/32"]),
        ((), ["10.96.0.10/32"]),
    ]


def test_networks_are_merged_no_wider_than_allowed() -> None:
    batch = recorded(
        [flow(f"10.9.0.{n}", "192.0.2.5", 80) for n in (1, 7, 99)]
        + [flow(f"10.9.1.{n}", "192.0.2.5", 80) for n in (1, 7)]
    )
    [rule] = learn([batch], parse_subject("host"), HOST).rules
    assert [str(each) for each in rule.networks] == ["10.9.0.0/24", "10.9.1.1/32", "10.9.1.7/32"]
    [rule] = learn([batch], parse_subject("host"), HOST, max_prefix=(29, 64)).rules
    assert [str(each) for each in rule.networks] == [
        "10.9.0.1/32",
        "10.9.0.7/32",
        "10.9.0.99/32",
        "10.9.1.1/32",
        "10.9.1.7/32",
    ]


def test_ephemeral_ports_are_folded() -> None:
    some = [flow("10.9.0.1", "192.0.2.5", port) for port in (40_000, 41_000, 42_000)]
    [rule] = learn([recorded(some)], parse_subject("host"), HOST).rules
    assert [each.first_port for each in rule.traffic] == [40_000, 41_000, 42_000]
    [rule] = learn([recorded([*some, flow("10.9.0.1", "192.0.2.5", 43_000)])], parse_subject("host"), HOST).rules
    assert rule.traffic == (Traffic(6, 32_768, 65_535),)


def test_the_shorter_of_two_ways_to_put_it() -> None:
    """Seven callers want every subset of three ports: three rules by port, seven by caller."""
    rows = [
        flow(f"203.0.{number}.1", "192.0.2.5", port)
        for number in range(1, 8)
        for at, port in enumerate((80, 443, 9000))
        if number >> at & 1
    ]
    assert len(learn([recorded(rows)], parse_subject("host"), HOST).rules) == 3
    [rule] = learn(
        [recorded([flow(f"203.0.{n}.1", "192.0.2.5", port) for n in range(5) for port in (80, 443)])],
        parse_subject("host"),
        HOST,
    ).rules
    assert len(rule.networks) == 5 and len(rule.traffic) == 2


def test_rare_asks_are_left_out_and_told() -> None:
    batch = recorded([flow("10.9.0.1", "192.0.2.5", 80)] * 3 + [flow("10.9.0.1", "192.0.2.5", 22_222)])
    lesson = learn([batch], parse_subject("host"), HOST, min_flows=2)
    assert lesson.rules[0].traffic == (Traffic(6, 80, 80),)
    assert "pairs of peer and port left out for fewer than 2 connections: 1" in lesson.notes


def test_what_was_not_seen_is_said() -> None:
    began = flow("10.30.0.7", "10.20.0.1", 5432, bits=4)
    lesson = learn(
        [recorded([began, flow("10.30.0.7", "10.20.0.1", 5433)])], DB, inventory(), coverage=Coverage(("n",), 5)
    )
    assert lesson.notes == [
        "no traffic of shop/db-2",
        "hours of the day not covered (UTC): 01–23",
        "beginning of 1 TCP connections: which end opened them is a guess",
        "5 packets were lost while they were recorded",
    ]
    nobody = learn([], parse_subject("pods:none/a=b"), inventory())
    assert nobody.notes[0] == "the inventory knows nobody that the subject selects"


def test_more_rules_than_an_attachment_takes_are_refused() -> None:
    rows = []
    for number in range(600):
        for at in range(10):
            if number + 1 >> at & 1:
                rows.append(flow(f"203.{number % 250}.{number // 250}.1", "192.0.2.5", 1000 + 7 * at))
                rows.append(flow(f"198.{number % 250}.{number // 250}.1", "192.0.2.5", 2000 + 11 * number))
    with pytest.raises(UsageError, match="rules would be needed, at most 254"):
        learn([recorded(rows)], parse_subject("host"), HOST)


CAPTURES = [ROOT / "examples" / "captures" / name for name in ("sample.pcapng", "shop.pcapng.zst")]
THIRD_PARTY = captures_folder()
if THIRD_PARTY is not None:
    CAPTURES += sorted(path for path in (THIRD_PARTY / "files").rglob("*") if path.is_file())


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_simulating_what_was_learned_refuses_nothing(path: Path) -> None:
    batches = of_file(path)
    for subject, known in subjects(batches):
        lesson = learn(batches, subject, known)
        policies = parse_policies(lesson_as_policies(lesson, "learned").encode(), "learned")
        found = simulate(compile_policies(policies, known, mode="Enforce"), batches, inventory=known)
        assert set(found.outcomes) <= {"accept"}, found.outcomes
        assert found.judged == 0 or any(line.flows for line in found.lines)


def subjects(batches: list[Connections]) -> list[tuple[Subject, Inventory]]:
    """Return the busiest addresses as a host, as two pods, and a host of unknown address."""
    counts: Counter[str] = Counter()
    for batch in batches:
        for end in "ab":
            for row in batch.flows[:2000]:
                counts[address_text(row[end].tobytes(), int(row["ip_version"]))] += 1
    busiest = [address for address, _ in counts.most_common(2)]
    quoted = [f'"{ip_address(address)}"' for address in busiest]
    pods = [
        f"{{name: p{n}, namespace: n, labels: {{app: a{n}}}, addresses: [{each}]}}" for n, each in enumerate(quoted)
    ]
    found = [(parse_subject("host"), Inventory())]
    if busiest:
        found.append((parse_subject("host"), parse_inventory(f"host: [{quoted[0]}]".encode(), "i")))
        found.append((parse_subject("namespace:n"), parse_inventory(f"pods: [{', '.join(pods)}]".encode(), "i")))
    return found


def test_nothing_is_accepted_that_has_no_evidence() -> None:
    [batch] = of_file(CAPTURES[0])
    known = parse_inventory(b"host: [10.77.0.20]", "i")
    lesson = learn([batch], parse_subject("host"), known)
    policies = parse_policies(lesson_as_policies(lesson, "learned").encode(), "learned")
    strangers = recorded([flow("203.0.113.9", "10.77.0.20", 6379), flow("10.77.0.101", "10.77.0.20", 6380)])
    found = simulate(compile_policies(policies, known, mode="Enforce"), [strangers])
    assert found.outcomes == {"deny": 2}
    assert np.all([line.flows == 0 for line in found.lines if line.name != "rest"])


@pytest.mark.parametrize("path", CAPTURES[:2], ids=lambda path: path.name)
def test_of_later_traffic_exactly_what_is_new_is_refused(path: Path) -> None:
    """Learned from the first half of the connections, tried on all of them."""
    [batch] = of_file(path)
    [_, (subject, known), *_] = subjects([batch])  # one address: what one member wants, another may do too
    stateful = np.flatnonzero(np.isin(batch.flows["transport"], (6, 17)))
    half = stateful[: len(stateful) // 2]
    seen = Connections(batch.segment, batch.rows[half], batch.flows[half])
    lesson = learn([seen], subject, known, max_prefix=(32, 128))
    policies = parse_policies(lesson_as_policies(lesson, "learned").encode(), "learned")
    everything = Connections(batch.segment, batch.rows[stateful], batch.flows[stateful])
    rules = compile_policies(policies, known, mode="Enforce")
    found = simulate(rules, [everything], against=compile_policies([], known))
    old = {described(row) for row in batch.flows[half]}
    new = {described(row) for row in batch.flows[stateful]} - old
    refused = {change.flow for change in found.changes}
    assert refused <= new
    ours = {str(network.network_address) for network in known.host}
    ranges = [each for rule in lesson.rules for each in rule.traffic if each.first_port != each.last_port]
    for text in new - refused:  # another's, or within a range of ports
        client, _, server = text.partition(" → ")
        address, _, port = server.rpartition(" ")[0].rpartition(":")
        is_folded = any(each.first_port <= int(port) <= each.last_port for each in ranges)
        assert is_folded or not {client, address.strip("[]")} & ours, text


def described(row: np.void) -> str:
    ends = ("a", "b") if int(row["client"]) == 0 else ("b", "a")
    version = int(row["ip_version"])
    client, server = (address_text(row[end].tobytes(), version) for end in ends)
    shown = f"[{server}]" if version == 6 else server
    return f"{client} → {shown}:{int(row[f'port_{ends[1]}'])} {'tcp' if int(row['transport']) == 6 else 'udp'}"
