"""The matcher says what the plain model says, of random rule sets and packets."""

from __future__ import annotations

import random
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.firewall import Action, Direction, Exempt, Packet, Rule, RuleSet, Tier, Traffic, Verdict, decide
from kubeshark.firewall.rules._vectors import ASKED, NONE, Addresses, Matcher

ADDRESSES = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.1.255",
    "10.255.0.0",
    "192.168.0.1",
    "255.255.255.255",
    "0.0.0.0",
    "128.0.0.1",
]
SIXES = ["fd00::1", "fd00::2", "fd00:0:1::", "::", "ffff:ffff::1", "fe80::ff", "8000::", "7fff::ff00"]
PORTS = [0, 1, 22, 53, 67, 68, 80, 443, 546, 547, 1023, 1024, 40000, 65535]
PROTOCOLS = [1, 6, 17, 47, 58, 132]


def networks(version: int) -> st.SearchStrategy[IPv4Network | IPv6Network]:
    texts, bits = (ADDRESSES, 32) if version == 4 else (SIXES, 128)
    return st.builds(
        lambda text, prefix: ip_network(f"{text}/{prefix}", strict=False), st.sampled_from(texts), st.integers(0, bits)
    )


def pairs(values: list[int]) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.sampled_from(values), st.sampled_from(values)).map(lambda pair: (min(pair), max(pair)))


peers = st.lists(networks(4) | networks(6), min_size=1, max_size=3).map(tuple)
traffic = st.one_of(
    st.builds(lambda protocol, ports: Traffic(protocol, *ports), st.none() | st.sampled_from(PROTOCOLS), pairs(PORTS)),
    st.builds(Traffic, st.none() | st.sampled_from(PROTOCOLS)),
    st.builds(
        lambda protocol, kind, code: Traffic(protocol, icmp_type=kind, icmp_code=code),
        st.none() | st.sampled_from([1, 58]),
        st.none() | st.sampled_from([0, 3, 8, 128, 135]),
        st.none() | st.sampled_from([0, 4]),
    ),
)
rules = st.builds(
    Rule,
    st.just("p"),
    st.just("r"),
    st.sampled_from(Tier),
    st.sampled_from(Direction),
    st.sampled_from(Action),
    peers,
    st.lists(traffic, max_size=2).map(tuple),
    st.booleans(),
)
exempts = st.builds(
    Exempt, st.just("e"), st.sampled_from(Direction), st.just(()) | peers, st.lists(traffic, max_size=2).map(tuple)
)
rule_sets = st.builds(
    lambda found, essential, exempt, strict: RuleSet(
        tuple(sorted(found, key=lambda rule: rule.tier)), essential, exempt, strict
    ),
    st.lists(rules, max_size=12) | st.lists(rules, min_size=5, max_size=8).map(lambda some: some * 12),  # several words
    st.booleans(),
    st.lists(exempts, max_size=2).map(tuple),
    st.booleans(),
)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    version = draw(st.sampled_from([4, 6]))
    texts = ADDRESSES if version == 4 else SIXES
    protocol = draw(st.sampled_from(PROTOCOLS))
    later = draw(st.sampled_from([0, 0, 0, 5]))
    has_ports, is_icmp = protocol in (6, 17, 132) and not later, protocol in (1, 58) and not later
    return Packet(
        direction=draw(st.sampled_from(Direction)),
        version=version,
        src=ip_address(draw(st.sampled_from(texts))),
        dst=ip_address(draw(st.sampled_from(texts))),
        protocol=protocol,
        src_port=draw(st.sampled_from(PORTS)) if has_ports else 0,
        dst_port=draw(st.sampled_from(PORTS)) if has_ports else 0,
        icmp_type=draw(st.sampled_from([0, 3, 8, 128, 135])) if is_icmp else 0,
        icmp_code=draw(st.sampled_from([0, 4])) if is_icmp else 0,
        fragment_offset=later,
    )


def row(packet: Packet) -> tuple[object, ...]:
    is_icmp = packet.protocol in (1, 58)
    return (
        np.frombuffer(packet.src.packed.ljust(16, b"\0"), np.uint8),
        np.frombuffer(packet.dst.packed.ljust(16, b"\0"), np.uint8),
        packet.version,
        packet.protocol,
        packet.src_port,
        packet.dst_port,
        packet.icmp_type if is_icmp else NONE,
        packet.icmp_code if is_icmp else NONE,
        packet.is_later_fragment,
    )


def expected(verdict: Verdict) -> tuple[int, ...]:
    def number(value: int | None) -> int:
        return NONE if value is None else int(value)

    return (
        verdict.action,
        verdict.reason,
        number(verdict.rule),
        number(verdict.audit),
        number(verdict.would),
        number(verdict.would_rule),
    )


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(rule_sets, st.lists(packets(), min_size=1, max_size=60))
def test_the_matcher_agrees_with_the_model(rules: RuleSet, found: list[Packet]) -> None:
    matcher = Matcher(rules)
    for direction in Direction:
        mine = [packet for packet in found if packet.direction == direction]
        verdicts = matcher.judge(direction, np.array([row(packet) for packet in mine], dtype=ASKED))
        for packet, verdict in zip(mine, verdicts.tolist(), strict=True):
            assert verdict == expected(decide(rules, packet, None)), packet


@pytest.mark.parametrize("version", [4, 6])
def test_intervals_hold_what_networks_hold(version: int) -> None:
    source = random.Random(version)
    bits = 32 if version == 4 else 128
    some: list[IPv4Network | IPv6Network] = [
        ip_network((source.getrandbits(bits) >> (bits - prefix) << (bits - prefix), prefix))
        for prefix in range(bits + 1)
    ] * 2
    addresses = Addresses(some)
    probes = [source.getrandbits(bits) for _ in range(200)]
    probes += [int(end) + step for network in some for end in (network[0], network[-1]) for step in (-1, 0, 1)]
    probes = [probe for probe in probes if 0 <= probe < 1 << bits]
    packed = b"".join(probe.to_bytes(bits // 8, "big").ljust(16, b"\0") for probe in probes)
    numbers = addresses.number(np.frombuffer(packed, np.uint8).reshape(-1, 16), np.full(len(probes), version))
    for network in some:
        span = addresses.span(network)
        inside = (numbers >= span.start) & (numbers < span.stop)
        assert inside.tolist() == [ip_address(probe.to_bytes(bits // 8, "big")) in network for probe in probes]


def test_full_rule_sets_and_many_rows() -> None:
    source = random.Random(7)
    found = tuple(
        Rule(
            "p",
            "r",
            Tier.ADMIN,
            Direction.INGRESS,
            Action.ACCEPT,
            (ip_network((10 << 24 | n << 8, 24)),),
            (Traffic(6, n, n),),
        )
        for n in range(256)
    )
    asked = np.zeros(50_000, dtype=ASKED)
    asked["version"], asked["protocol"] = 4, 6
    asked["src"][:, 0] = 10
    third = np.array([source.randrange(256) for _ in range(len(asked))])
    asked["src"][:, 2] = third
    asked["dst_port"] = third
    verdicts = Matcher(RuleSet(found)).judge(Direction.INGRESS, asked)
    assert (verdicts["rule"] == third).all()


@pytest.mark.parametrize("seed", range(8))
def test_hundreds_of_packets_on_rule_sets_of_any_size(seed: int) -> None:
    source = random.Random(seed)
    rules = random_rules(source)
    matcher = Matcher(rules)
    found = [random_packet(source) for _ in range(600)]
    for direction in Direction:
        mine = [packet for packet in found if packet.direction == direction]
        verdicts = matcher.judge(direction, np.array([row(packet) for packet in mine], dtype=ASKED))
        for packet, verdict in zip(mine, verdicts.tolist(), strict=True):
            assert verdict == expected(decide(rules, packet, None)), packet


def random_rules(source: random.Random) -> RuleSet:
    def traffic() -> Traffic:
        low, high = sorted(source.choices(PORTS, k=2))
        protocol = source.choice([None, *PROTOCOLS])
        if protocol in (1, 58) and source.random() < 0.7:
            return Traffic(
                protocol, icmp_type=source.choice([0, 3, 8, 128, 135]), icmp_code=source.choice([None, 0, 4])
            )
        return Traffic(protocol, low, high) if source.random() < 0.7 else Traffic(protocol)

    def peers() -> tuple[IPv4Network | IPv6Network, ...]:
        texts = source.choices(ADDRESSES + SIXES, k=source.randint(1, 4))
        prefixes = [
            source.choice([0, 8, 16, 24, 31, 32] if "." in text else [0, 16, 48, 64, 127, 128]) for text in texts
        ]
        return tuple(ip_network(f"{text}/{prefix}", strict=False) for text, prefix in zip(texts, prefixes, strict=True))

    found = [
        Rule(
            "p",
            "r",
            source.choice(list(Tier)),
            source.choice(list(Direction)),
            source.choice(list(Action)),
            peers(),
            tuple(traffic() for _ in range(source.randint(0, 3))),
            source.random() < 0.3,
        )
        for _ in range(source.choice([1, 5, 30, 64, 65, 200, 256]))
    ]
    exempt = tuple(Exempt("e", source.choice(list(Direction)), (), (traffic(),)) for _ in range(source.randint(0, 2)))
    ordered = tuple(sorted(found, key=lambda rule: rule.tier))
    return RuleSet(ordered, source.random() < 0.5, exempt, source.random() < 0.5)


def random_packet(source: random.Random) -> Packet:
    texts = source.choice([ADDRESSES, SIXES])
    protocol, later = source.choice(PROTOCOLS), source.choice([0, 0, 0, 5])
    has_ports, is_icmp = protocol in (6, 17, 132) and not later, protocol in (1, 58) and not later
    return Packet(
        source.choice(list(Direction)),
        4 if texts is ADDRESSES else 6,
        ip_address(source.choice(texts)),
        ip_address(source.choice(texts)),
        protocol,
        source.choice(PORTS) if has_ports else 0,
        source.choice(PORTS) if has_ports else 0,
        icmp_type=source.choice([0, 3, 8, 128, 135]) if is_icmp else 0,
        icmp_code=source.choice([0, 4]) if is_icmp else 0,
        fragment_offset=later,
    )
