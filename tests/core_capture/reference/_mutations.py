"""Hostile packets from good ones, the same ones each time: for any core."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from tests.core_capture.reference._packets import A6, B6, RAW, ip, record, tcp, udp, udp_header
from tests.core_capture.reference.test_fragments import TEXT, fragments, ipv6_fragments
from tests.core_capture.reference.test_link import FRAMES
from tests.core_capture.reference.test_tunnels import IP_TUNNELS, UDP_TUNNELS

BYTES = [0, 1, 4, 5, 6, 7, 8, 17, 0x40, 0x45, 0x60, 0x7F, 0x80, 0xFF]
WORDS = [0, 1, 20, 40, 0x2000, 0x7FFF, 0xFFFF]


def seeds() -> list[tuple[int, list[bytes]]]:
    """(link type, packets that belong together)."""
    conversation = [
        tcp(sequence=99, flags="S"),
        tcp(sequence=499, flags="SA", ports=(80, 40000), ends=("10.0.0.2", "10.0.0.1")),
        *(tcp(bytes([65 + number]) * 50, 100 + 50 * number, "PA") for number in range(5)),
        tcp(b"end", 350, "FA"),
    ]
    headers = b"\x3c\0" + bytes(6) + b"\x2c\0" + bytes(6) + b"\x11\0\0\0\0\0\0\7" + udp_header(b"hello", 1, 2)
    return [
        *((link_type, [frame] * 2) for link_type, frame in FRAMES.values()),
        *((RAW, [packet] * 2) for _, packet in (IP_TUNNELS | UDP_TUNNELS).values()),
        (RAW, conversation),
        (RAW, fragments(udp(TEXT), 800, 800)),
        (RAW, fragments(ip(fragments(udp(TEXT), 800)[0], 4), 400)),
        (RAW, ipv6_fragments(udp_header(TEXT, 1, 2), 800)),
        (RAW, [ip(headers, 0, A6, B6)]),
    ]


def mutate(packet: bytes, chance: random.Random) -> bytes:
    """Change a few bytes, cut, repeat or splice."""
    changed = bytearray(packet)
    for _ in range(chance.randrange(4)):
        if not changed:
            break
        at = min(chance.randrange(len(changed)), chance.randrange(len(changed)))  # headers more often
        kind = chance.randrange(5)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at] = chance.choice(BYTES)
        elif kind == 2:
            changed[at : at + 2] = struct.pack(">H", chance.choice([*WORDS, len(changed)]))
        elif kind == 3:
            del changed[at : at + chance.randrange(1, 9)]
        else:
            other = chance.randrange(len(changed))
            changed[at:at] = changed[other : other + chance.randrange(1, 60)]
    return bytes(changed[: chance.randrange(len(changed) + 1)] if chance.random() < 0.1 else changed)


def hostile_inputs(rounds: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """Yield (link type, records): each seed mutated `rounds` times, times and lengths included."""
    chance = random.Random(seed)
    for link_type, packets in seeds():
        for _ in range(rounds):
            data = bytearray()
            for packet in chance.choices(packets, k=len(packets) * 2):
                mutated = mutate(packet, chance)
                time_ns = chance.choice([0, 10**9, chance.randrange(2**32 * 10**9)])
                original = chance.choice([len(mutated), len(mutated), 0, len(packet), 2**32 - 1])
                data += record(mutated, time_ns, original)
            if chance.random() < 0.1:
                del data[chance.randrange(len(data)) :]
            yield (link_type if chance.random() < 0.95 else chance.randrange(300)), bytes(data)
