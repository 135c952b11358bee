"""Random policies, and packets as `Packet` and as bytes: what the data plane is compared with the model by."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from kubeshark.firewall import Action, Direction, Exempt, Packet, Rule, RuleSet, Tier, Traffic

ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
V4 = [
    ip_address(text)
    for text in ("10.0.0.1", "10.0.0.9", "10.0.1.7", "10.9.0.1", "192.0.2.5", "255.255.255.255", "224.0.0.5")
]
V6 = [ip_address(text) for text in ("fd00::1", "fd00::9", "fd00:0:0:1::7", "fd09::1", "2001:db8::5", "ff02::1", "::")]
NETWORKS = [
    ip_network(text)
    for text in (
        *(
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/8",
            "10.0.0.0/24",
            "10.0.0.8/29",
            "10.0.0.9/32",
            "10.0.1.0/24",
            "192.0.2.5/32",
        ),
        *("fd00::/8", "fd00::/64", "fd00::9/128", "fd09::/16", "2001:db8::/32", "10.0.0.0/23", "128.0.0.0/1"),
    )
]
PORTS = [22, 53, 67, 68, 80, 443, 546, 547, 1023, 1024, 5432, 8080, 40000, 65535]
OTHERS = [47, 50, 59, 89]


def random_traffic(rng: random.Random) -> Traffic:
    kind = rng.randrange(8)
    if kind == 0:
        return Traffic(rng.choice([None, TCP, UDP, SCTP, ICMP, ICMPV6, *OTHERS]))
    if kind == 1:
        protocol = rng.choice([ICMP, ICMPV6, None])
        return Traffic(protocol, icmp_type=rng.choice([None, 0, 3, 8, 128, 129]), icmp_code=rng.choice([None, 0, 4]))
    first, last = sorted(rng.choices(PORTS, k=2)) if kind < 5 else [rng.choice(PORTS)] * 2
    return Traffic(rng.choice([TCP, TCP, UDP, SCTP, None]), first, last)


def random_rules(rng: random.Random, most: int = 30) -> RuleSet:
    count = rng.choice([1, 3, rng.randrange(most), rng.randrange(most)])
    rules = [
        Rule(
            "p", str(index), rng.choice(list(Tier)), rng.choice(list(Direction)), rng.choice(list(Action)),
            tuple(rng.sample(NETWORKS, rng.randrange(1, 4))),
            tuple(random_traffic(rng) for _ in range(rng.randrange(3))), dry=rng.random() < 0.2,
        )
        for index in range(count)
    ]  # fmt: skip
    exempt = tuple(
        Exempt(
            str(index), rng.choice(list(Direction)), tuple(rng.sample(NETWORKS, rng.randrange(2))),
            (random_traffic(rng),),
        )
        for index in range(rng.choice([0, 0, 1, 2]))
    )  # fmt: skip
    return RuleSet(
        tuple(sorted(rules, key=lambda rule: rule.tier)),
        rng.random() < 0.7,
        exempt,
        strict_fragments=rng.random() < 0.3,
        tcp_by_flags=rng.random() < 0.2,
    )


def random_packet(rng: random.Random) -> Packet:
    version = rng.choice([4, 6])
    src, dst = rng.sample(V4 if version == 4 else V6, 2)
    protocol = rng.choice([TCP, TCP, TCP, UDP, UDP, SCTP, ICMP if version == 4 else ICMPV6, rng.choice(OTHERS)])
    base = Packet(rng.choice(list(Direction)), version, src, dst, protocol)
    if rng.random() < 0.05:
        return replace(base, version=0)
    if rng.random() < 0.08:
        return replace(base, fragment_offset=rng.randrange(1, 8192), more_fragments=rng.random() < 0.5)
    more = rng.random() < 0.05
    if protocol in (TCP, UDP, SCTP):
        flags = rng.choice([0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0]) if protocol == TCP else 0
        ports = {"src_port": rng.choice(PORTS), "dst_port": rng.choice(PORTS)}
        return replace(base, tcp_flags=flags, more_fragments=more, **ports)
    if protocol == ICMP:
        kind = rng.choice([0, 8, 13, 14, 9, 10])
    elif protocol == ICMPV6:
        kind = rng.choice([128, 129, 133, 134, 135, 136, 143, 200])
    else:
        return replace(base, more_fragments=more)
    return replace(base, icmp_type=kind, icmp_code=rng.choice([0, 4]), icmp_id=rng.randrange(3), more_fragments=more)


ANSWERS = {8: 0, 13: 14, 128: 129}


def answer_to(rng: random.Random, first: Packet) -> Packet:
    """A packet the other way: what its receiver might send."""
    back = replace(first, direction=Direction(1 - first.direction), src=first.dst, dst=first.src, more_fragments=False)
    back = replace(back, src_port=first.dst_port, dst_port=first.src_port)
    if first.protocol == TCP:
        return replace(back, tcp_flags=rng.choice([0x12, 0x10, 0x04, 0x02]))
    return replace(back, icmp_type=ANSWERS.get(first.icmp_type, first.icmp_type), icmp_code=0)


def error_about(rng: random.Random, about: Packet) -> Packet:
    """An ICMP error from anywhere, either way."""
    quoted = replace(about, tcp_flags=0, more_fragments=False)  # flags lie behind the 8 bytes that are quoted
    if about.fragment_offset:
        quoted_or_none = None
    else:
        has_key = about.protocol in (TCP, UDP, SCTP, ICMP, ICMPV6)
        quoted_or_none = quoted if has_key else None
    four = about.version == 4
    return Packet(
        rng.choice(list(Direction)), about.version, rng.choice(V4 if four else V6), about.src, ICMP if four else ICMPV6,
        icmp_type=rng.choice([3, 11, 4, 5, 12] if four else [1, 2, 3, 4]), icmp_code=rng.choice([0, 4]),
        quoted=quoted_or_none,
    )  # fmt: skip


def _upper(packet: Packet, rng: random.Random) -> bytes:
    if packet.fragment_offset:
        return rng.randbytes(rng.randrange(64))
    if packet.protocol == TCP:
        return struct.pack(">HHIIBBHHH", packet.src_port, packet.dst_port, 1, 2, 0x50, packet.tcp_flags, 99, 0, 0)
    if packet.protocol == UDP:
        return struct.pack(">HHHH", packet.src_port, packet.dst_port, 8, 0)
    if packet.protocol == SCTP:
        return struct.pack(">HHII", packet.src_port, packet.dst_port, 0, 0)
    if packet.protocol in (ICMP, ICMPV6):
        head = struct.pack(">BBHHH", packet.icmp_type, packet.icmp_code, 0, packet.icmp_id, 0)
        return head if packet.quoted is None else head + _quote(packet.quoted)
    return b"payload."


def _quote(packet: Packet) -> bytes:
    return _ip(packet, _upper(packet, random.Random(0)).ljust(8, b"\0")[:8], random.Random(0), extensions=False)


def _ip(packet: Packet, upper: bytes, rng: random.Random, *, extensions: bool = True) -> bytes:
    fragment = packet.fragment_offset | (0x2000 if packet.more_fragments else 0)
    if packet.version == 4:
        options = b"\x01" * 4 * rng.choice([0, 0, 0, 1, 10]) if extensions else b""
        words, length = 5 + len(options) // 4, 20 + len(options) + len(upper)
        head = struct.pack(">BBHHHBBH", 0x40 | words, 0, length, 7, fragment, 64, packet.protocol, 0)
        return head + packet.src.packed + packet.dst.packed + options + upper
    chain: list[tuple[int, bytes]] = []
    if extensions:
        for _ in range(rng.choice([0, 0, 1, 2, 3])):
            kind, words = rng.choice([0, 43, 60, 51]), rng.randrange(3)
            body = bytes([words]) + bytes(6 + 8 * words) if kind != 51 else bytes([words * 2]) + bytes(6 + 8 * words)
            chain.append((kind, body))
    if packet.fragment_offset or packet.more_fragments:
        word = packet.fragment_offset << 3 | packet.more_fragments
        chain.append((44, struct.pack(">BHI", 0, word, 5)))
    following = [*(kind for kind, _ in chain), packet.protocol]
    middle = b"".join(bytes([following[at + 1]]) + body for at, (_, body) in enumerate(chain))
    head = struct.pack(">IHBB", 6 << 28, len(middle) + len(upper), following[0], 64)
    return head + packet.src.packed + packet.dst.packed + middle + upper


def wire(packet: Packet, rng: random.Random) -> bytes:
    """Return the Ethernet frame: up to two VLAN tags, options, extension headers, at times padding."""
    tags = b"".join(struct.pack(">HH", rng.choice([0x8100, 0x88A8]), 5) for _ in range(rng.choice([0, 0, 1, 2])))
    macs = bytes(range(12))
    if packet.version == 0:
        return macs + tags + struct.pack(">H", rng.choice([0x0806, 0x88CC])) + bytes(46)
    kind = struct.pack(">H", 0x0800 if packet.version == 4 else 0x86DD)
    return macs + tags + kind + _ip(packet, _upper(packet, rng), rng) + bytes(rng.choice([0, 0, 6]))


def broken(packet: Packet, rng: random.Random) -> tuple[Packet, bytes]:
    """A packet whose headers end early, or contradict themselves."""
    four = packet.version == 4
    plain = replace(packet, protocol=TCP, fragment_offset=0, more_fragments=False, quoted=None)
    whole = _ip(plain, _upper(plain, rng), rng, extensions=False)
    head = 20 if four else 40
    kind = struct.pack(">H", 0x0800 if four else 0x86DD)
    way = rng.randrange(5)
    if way == 0:  # the frame ends inside the headers
        whole = whole[: rng.randrange(1, head + 20)]
    elif way == 1:  # the packet says so itself, with more behind it in the frame
        said = rng.randrange(1, 20) + (20 if four else 0)
        whole = whole[: 2 if four else 4] + struct.pack(">H", said) + whole[4 if four else 6 :]
    elif way == 2:  # the version contradicts the frame
        whole = bytes([whole[0] ^ 0x50]) + whole[1:]
    elif way == 3 and four:  # a header shorter than a header
        whole = bytes([0x40 | rng.randrange(5)]) + whole[1:]
    elif way == 3:  # extension headers without end
        endless = bytes([60, 0, *bytes(6)]) * 12
        whole = whole[:4] + struct.pack(">H", 96 + 20) + b"\x3c" + whole[7:40] + endless + whole[40:]
    else:  # longer than what came
        whole = whole[: 2 if four else 4] + b"\x7f\xff" + whole[4 if four else 6 :]
    tag = struct.pack(">HH", 0x8100, 5)  # behind one a trial run takes frames that are too short for IP
    return replace(plain, is_readable=False), bytes(12) + tag + kind + whole


def mapped(address: IPv4Address | IPv6Address) -> bytes:
    return address.packed.ljust(16, b"\0")


def one_of(rng: random.Random, seen: list[Packet]) -> tuple[Packet, bytes]:
    """The next packet of a conversation: new, again, the other way, an error about one, or broken."""
    choice: Any = rng.random()
    if seen and choice < 0.5:
        old = rng.choice(seen[-40:])
        if choice < 0.1:
            packet = old
        elif choice < 0.35 and old.version and not old.fragment_offset:
            packet = answer_to(rng, old)
        elif old.version and old.protocol in (TCP, UDP, SCTP, ICMP, ICMPV6) and old.quoted is None:
            packet = error_about(rng, old)
        else:
            packet = old
    else:
        packet = random_packet(rng)
        if packet.version and choice > 0.95:
            return broken(packet, rng)
    seen.append(packet)
    return packet, wire(packet, rng)
