"""Programs that choose by address: run here in Python for any addresses, and in the kernel in test_source.py."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture.live._address_filter import Address, address_program
from kubeshark.core_capture.live._bpf import Instruction, accept
from kubeshark.core_capture.live._interfaces import COOKED, ETHERNET, RAW_IP, WIFI
from kubeshark.errors import UsageError

PROTOCOL = 0xFFFF_F000
AT = {ETHERNET: 14, COOKED: 0, RAW_IP: 0}

four = st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0x0A00_0000, 0x0A00_01FF).map(IPv4Address)
six = st.integers(0, 2**128 - 1).map(IPv6Address) | st.integers(2**127, 2**127 + 500).map(IPv6Address)


def run(program: Sequence[Instruction], packet: bytes, protocol: int) -> int:
    """What the kernel does with it: bytes kept."""
    at = accumulator = 0
    while True:
        code, true, false, operand = program[at]
        at += 1
        if code == 0x20:
            if operand == PROTOCOL:
                accumulator = protocol
            elif operand + 4 > len(packet):
                return 0
            else:
                [accumulator] = struct.unpack_from(">I", packet, operand)
        elif code == 0x05:
            at += operand
        elif code == 0x15:
            at += true if accumulator == operand else false
        elif code == 0x35:
            at += true if accumulator >= operand else false
        else:
            assert code == 0x06
            return operand


def passes(addresses: set[Address], source: Address, destination: Address, link_type: int = ETHERNET) -> bool:
    program = [*address_program(addresses, link_type), *accept(1)]
    assert all(0 <= jump <= 255 for _, *jumps, _ in program for jump in jumps)
    is_old = source.version == 4
    front = bytes(AT[link_type] + (12 if is_old else 8))
    packet = front + source.packed + destination.packed
    return bool(run(program, packet, 0x0800 if is_old else 0x86DD))


@given(st.sets(four | six, min_size=1, max_size=60), st.sampled_from(sorted(AT)), st.data())
def test_either_end_is_enough(addresses: set[Address], link_type: int, data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(sorted(addresses, key=str)))
    kind = four if chosen.version == 4 else six
    other, third = data.draw(kind), data.draw(kind)
    assert passes(addresses, chosen, other, link_type)
    assert passes(addresses, other, chosen, link_type)
    assert passes(addresses, other, third, link_type) == bool({other, third} & addresses)


@pytest.mark.parametrize("family", [4, 6])
def test_many(family: int) -> None:
    first = ip_address("10.0.0.0") if family == 4 else ip_address("2001:db8::")
    addresses: set[Address] = {first + 7919 * number for number in range(600)}
    program = address_program(addresses, COOKED)
    assert len(program) < 3 * 600
    other = first + 1
    for chosen in sorted(addresses, key=int)[::37]:
        assert passes(addresses, chosen, other, COOKED)
        assert passes(addresses, other, chosen, COOKED)
        assert not passes(addresses, other, chosen + 1, COOKED)


def test_nothing_else_passes() -> None:
    addresses: set[Address] = {IPv4Address("10.0.0.1")}
    program = [*address_program(addresses, ETHERNET), *accept(1)]
    packet = bytes(26) + IPv4Address("10.0.0.1").packed * 2
    assert run(program, packet, 0x0800)
    for protocol in (0x0806, 0x86DD, 0x8847, 0):
        assert not run(program, packet, protocol)
    assert not run(program, packet[:28], 0x0800)
    assert not run([*address_program(set(), ETHERNET), *accept(1)], packet, 0x0800)


def test_headers_that_have_no_place() -> None:
    with pytest.raises(UsageError, match="link type 105 cannot be chosen by address"):
        address_program({IPv4Address("10.0.0.1")}, WIFI)
