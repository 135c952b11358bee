"""Packets from or to chosen addresses, as a program for the kernel: a search tree over them, once for each end.

libpcap is not asked: its time grows with more than the square of the number of hosts. 110 addresses are 330
instructions here, and a packet passes some 15 of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from kubeshark.core_capture.live._bpf import Instruction
from kubeshark.core_capture.live._interfaces import COOKED, ETHERNET, RAW_IP
from kubeshark.errors import UsageError

__all__ = ["Address", "address_program"]

Address = IPv4Address | IPv6Address

_NETWORK_AT = {ETHERNET: 14, COOKED: 0, RAW_IP: 0}
"""Offset of the network header among the bytes that the kernel's filter sees; of "any" the header is made later."""

_PROTOCOL = 0xFFFF_F000  # SKF_AD_OFF + SKF_AD_PROTOCOL: without VLAN tags, which are not among the bytes
_IPV4, _IPV6 = 0x0800, 0x86DD
_LOAD_WORD, _JUMP, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x06
_FAR = 255  # what a conditional jump reaches
_LEAF = 8  # values that are compared one after the other


class _Step(NamedTuple):
    code: int
    operand: int = 0
    to: int = 0  # a label; of a conditional jump: where it goes if it is true


class _Label(NamedTuple):
    number: int


def address_program(addresses: Collection[Address], link_type: int) -> list[Instruction]:
    """Return a program that ends behind its last instruction for a packet of one of these, and drops others.

    What follows it judges those that passed. IPv4 and IPv6 alone pass: ARP has no such addresses. Raises UsageError
    for a link type whose network header is not at one place.
    """
    if link_type not in _NETWORK_AT:
        raise UsageError(f"packets of link type {link_type} cannot be chosen by address", hint="use Ethernet, or any")
    at = _NETWORK_AT[link_type]
    labels = itertools.count()
    passed, old, new = (_Label(next(labels)) for _ in range(3))
    four = [(int(each),) for each in addresses if each.version == 4]
    six = [_words(each) for each in addresses if each.version == 6]
    steps: list[_Step | _Label] = [_Step(_LOAD_WORD, _PROTOCOL)]
    steps += [_Step(_EQUAL, _IPV4, old.number)] if four else []
    steps += [_Step(_EQUAL, _IPV6, new.number)] if six else []
    steps.append(_Step(_RETURN))
    for label, values, source, destination in ((old, four, at + 12, at + 16), (new, six, at + 8, at + 24)):
        if values:
            other = _Label(next(labels))
            steps += [label, *_search(sorted(values), source, other, passed, labels)]
            steps += [other, *_search(sorted(values), destination, None, passed, labels)]
    return _assembled([*steps, passed])


def _words(address: Address) -> tuple[int, ...]:
    return tuple(int.from_bytes(address.packed[at : at + 4], "big") for at in range(0, 16, 4))


def _search(
    values: Sequence[tuple[int, ...]], at: int, missed: _Label | None, passed: _Label, labels: Iterator[int]
) -> list[_Step | _Label]:
    """Look for the words at `at` among values, which are sorted; `missed` None: drop what is not there."""
    miss = _Step(_JUMP, 0, missed.number) if missed else _Step(_RETURN)
    tails = {first: [value[1:] for value in group] for first, group in itertools.groupby(values, lambda one: one[0])}
    is_last = len(values[0]) == 1
    found = dict.fromkeys(tails, passed) if is_last else {first: _Label(next(labels)) for first in tails}
    steps: list[_Step | _Label] = [_Step(_LOAD_WORD, at), *_tree(list(found.items()), miss, labels)]
    if not is_last:
        for first, label in found.items():
            steps += [label, *_search(tails[first], at + 4, missed, passed, labels)]
    return steps


def _tree(choices: Sequence[tuple[int, _Label]], miss: _Step, labels: Iterator[int]) -> list[_Step | _Label]:
    if len(choices) > _LEAF:
        middle, right = -(-len(choices) // (2 * _LEAF)) * _LEAF, _Label(next(labels))  # leaves are full
        return [
            _Step(_AT_LEAST, choices[middle][0], right.number),
            *_tree(choices[:middle], miss, labels),
            right,
            *_tree(choices[middle:], miss, labels),
        ]
    if len({label for _, label in choices}) > 1:
        return [*(_Step(_EQUAL, value, label.number) for value, label in choices), miss]
    near = _Label(next(labels))  # all go to one place, which may be far: a jump there for all of them
    return [
        *(_Step(_EQUAL, value, near.number) for value, _ in choices),
        miss,
        near,
        _Step(_JUMP, 0, choices[0][1].number),
    ]


def _assembled(steps: Sequence[_Step | _Label]) -> list[Instruction]:
    """Turn labels into distances. All jumps go forward: from the end their distances are known."""
    done: list[Instruction] = []  # the last one first
    places: dict[int, int] = {}
    for step in reversed(steps):
        if isinstance(step, _Label):
            places[step.number] = len(done)
            continue
        far = len(done) - places[step.to] if step.code in (_JUMP, _EQUAL, _AT_LEAST) else 0
        if step.code == _JUMP:
            done.append((_JUMP, 0, 0, far))
        elif step.code in (_EQUAL, _AT_LEAST) and far > _FAR:
            done += [(_JUMP, 0, 0, far), (step.code, 0, 1, step.operand)]
        else:
            done.append((step.code, far, 0, step.operand))
    return done[::-1]
