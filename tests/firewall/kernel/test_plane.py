"""The data plane against the plain model, by the kernel's own trial runs: every field of every verdict."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator

import pytest

from kubeshark.core_capture.ebpf import _calls
from kubeshark.firewall import Action, Direction, FlowTable, Packet, Reason, Verdict, decide
from kubeshark.firewall.kernel._plane import SCRATCH_BYTES, Plane
from kubeshark.firewall.rules._address_tree import NODES
from tests.firewall._privileged import needs_bpf
from tests.firewall._wire_packets import one_of, random_rules

pytestmark = needs_bpf
PROGRAMS = {Direction.INGRESS: "ingress_at_ingress", Direction.EGRESS: "egress_at_egress"}
VERDICT_AT = 208
FOREVER_NS = 10**18
TREES = [NODES, NODES, 4, 0]  # without nodes addresses are looked up in tries
XDP_DROP, XDP_PASS = 1, 2


@pytest.fixture
def plane() -> Iterator[Plane]:
    """A data plane; the test stays on one processor, whose scratch it reads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    with Plane.create() as made:
        yield made
    os.sched_setaffinity(0, before)


def run(plane: Plane, program: str, frame: bytes) -> tuple[int, Verdict]:
    returned, _, _ = _calls.try_run(plane.program(program), frame)
    size = SCRATCH_BYTES
    values = _calls.look_up(plane.maps["scratches"], struct.pack("<I", 0), size * _calls.possible_processors()) or b""
    at = min(os.sched_getaffinity(0)) * size + VERDICT_AT
    rule, audit, would_rule, action, reason, would = struct.unpack_from("<hhhBBB", values, at)
    verdict = Verdict(
        Action(action), Reason(reason), None if rule < 0 else rule, None if audit < 0 else audit,
        None if would_rule < 0 else Action(would), None if would_rule < 0 else would_rule,
    )  # fmt: skip
    return returned, verdict


def compare(plane: Plane, seed: int, rounds: int, packets: int, *, with_xdp: bool = False) -> int:
    rng = random.Random(seed)
    compared = 0
    for _ in range(rounds):
        plane.forget_flows()
        flows, seen = FlowTable(), list[Packet]()
        rules = random_rules(rng)
        plane.apply(rules, answers=1 << 31, idle_ns=FOREVER_NS, most_nodes=rng.choice(TREES))
        flows.flip()
        for index in range(packets):
            if index and index % 60 == 0:
                rules = random_rules(rng)
                plane.apply(rules, answers=1 << 31, idle_ns=FOREVER_NS, most_nodes=rng.choice(TREES))
                flows.flip()
            packet, frame = one_of(rng, seen)
            if len(frame) < 14:
                continue
            expected = decide(rules, packet, flows)
            if with_xdp and packet.direction == Direction.INGRESS:
                returned, verdict = run(plane, "ingress_at_xdp", frame)
                assert (returned == XDP_DROP) == (expected.action == Action.DENY), (seed, index, packet, rules)
                if returned == XDP_DROP:
                    assert verdict == expected, (seed, index, packet, rules, frame.hex())
                    compared += 1
                    continue
                assert returned == XDP_PASS
            returned, verdict = run(plane, PROGRAMS[packet.direction], frame)
            assert verdict == expected, (seed, index, packet, rules, frame.hex())
            assert (returned == -1) == (expected.action == Action.ACCEPT)
            compared += 1
    return compared


def test_20_000_verdicts_are_the_models(plane: Plane) -> None:
    assert compare(plane, seed=9, rounds=70, packets=300) >= 20_000


def test_with_xdp_in_front_they_are_too(plane: Plane) -> None:
    assert compare(plane, seed=10, rounds=18, packets=300, with_xdp=True) >= 5_000


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_100_000_verdicts_are_the_models(plane: Plane) -> None:
    for with_xdp in (False, True):
        seed = int.from_bytes(os.urandom(4), "big")
        assert compare(plane, seed=seed, rounds=350, packets=300, with_xdp=with_xdp) >= 100_000
