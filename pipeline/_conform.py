"""The conformance kit: a plugin's captures and made-up streams, given to it in pieces, through its sandbox.

A plugin conforms if pieces never matter, streams do not depend on each other, and no bytes make it fail. A Python
plugin gets whole sides and is only asked not to fail.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubeshark.errors import PluginCrashed, UsageError
from kubeshark.extension_api import CLIENT, SERVER, Datagram, Endpoint, Message
from kubeshark.extension_api._conformance import Finding, Vector, check_cuts, check_sides, made_up
from kubeshark.extension_api._frame import DISSECT, FrameItem, FrameMessage, decode_dissect
from kubeshark.hosts._feed import TRANSPORTS, frames
from kubeshark.hosts._supervisor import PluginProcess, Poison, Supervision
from kubeshark.pipeline._trial import Trial, expectations

__all__ = ["Conformance", "conform", "golden"]

PATIENT = Supervision(crashes=1_000_000, backoff_s=0.0)  # it is meant to fail here, and to go on
MAX_FINDINGS = 20
MAX_VECTORS = 64  # of the captures; each is cut hundreds of times
NUMBERS = dict(TRANSPORTS)


@dataclass(frozen=True, slots=True)
class Conformance:
    """What was tried and found."""

    golden: int
    made_up: int
    findings: list[Finding]


def conform(trial: Trial, folder: Path, *, count: int = 200, seed: int = 1) -> Conformance:
    """Run the kit. `count` streams are made up, the same ones for the same `seed`."""
    if "dissect" not in trial.manifest.hooks:
        raise UsageError(f"{trial.manifest.label} dissects nothing", hint="the kit is for dissectors")
    vectors = golden(trial, folder)
    chance = random.Random(seed)
    findings: list[Finding] = []
    if trial.foreign is None:
        streams = [*vectors, *made_up(vectors, count, chance)]
        findings += _python(trial, streams)
        return Conformance(len(vectors), count, findings)
    process = trial.foreign.process
    with PluginProcess(process.folder, trial.manifest, PATIENT, settings=process.settings) as patient:
        ask = _asking(patient)
        findings += check_sides(ask, vectors)
        for vector in (*vectors, *made_up(vectors, count, chance)):
            findings += check_cuts(ask, vector, chance)
            if len(findings) >= MAX_FINDINGS:
                break
    return Conformance(len(vectors), count, findings)


def golden(trial: Trial, folder: Path) -> list[Vector]:
    """Return the sides (or datagrams) of the plugin's own streams in its captures."""
    vectors: list[Vector] = []
    for expectation in expectations(folder):
        seen: set[str] = set()
        for entry in trial.entries(expectation.capture, trial.kfl()):
            facts = entry.facts
            if facts.stream in seen or facts.stream_data is None:
                continue
            seen.add(facts.stream)
            name, port = f"{expectation.name}, port {facts.client.port}", facts.server.port
            if facts.transport == "tcp":
                for direction, side in enumerate(facts.stream_data.sides):
                    if len(side.data) and not side.gaps:
                        label = f"{name}, {('client', 'server')[direction]}"
                        vectors.append(Vector(label, direction, bytes(side.data), port))
            else:
                number = NUMBERS.get(facts.transport, 255)
                vectors += [
                    Vector(f"{name}, datagram {at}", datagram.direction, bytes(datagram.data), port, number)
                    for at, datagram in enumerate(facts.stream_data.datagrams)
                ]
    return vectors[:MAX_VECTORS]


def _asking(process: PluginProcess) -> Callable[[Sequence[FrameItem]], list[tuple[int, list[FrameMessage]]]]:
    types = process.manifest.field_types

    def decode(result: memoryview, items: Sequence[FrameItem]) -> list[tuple[int, list[FrameMessage]]]:
        found = decode_dissect(result, [item.payload for item in items], types)
        messages: list[list[FrameMessage]] = [[] for _ in items]
        for message in found.messages:
            messages[message.item].append(message)
        return list(zip(found.consumed, messages, strict=True))

    def ask(items: Sequence[FrameItem]) -> list[tuple[int, list[FrameMessage]]]:
        answers: list[tuple[int, list[FrameMessage]]] = []
        for part in frames(items):
            found = process.call(DISSECT, items[part], decode)
            for item, answer in zip(items[part], found, strict=True):
                if isinstance(answer, Poison):  # once more: a busy machine makes anything slow
                    again = process.call(DISSECT, [item], decode)
                    answer = again[0]
                if isinstance(answer, Poison):
                    raise PluginCrashed(answer.reason, plugin=process.manifest.label)
                answers.append(answer)
        return answers

    return ask


@dataclass(frozen=True, slots=True)
class _Side:
    data: memoryview
    gaps: tuple[tuple[int, int, int], ...] = ()
    starts_midway: bool = False

    def packet_at(self, offset: int) -> int:  # noqa: ARG002 (one packet brought it all)
        return 0

    def time_at(self, offset: int) -> int:  # noqa: ARG002
        return 0


class _Whole:
    """A stream that a Python plugin gets."""

    client = Endpoint("192.0.2.1", 40_000)

    def __init__(self, vector: Vector) -> None:
        self.server = Endpoint("192.0.2.2", vector.server_port)
        self.transport = next((name for name, number in NUMBERS.items() if number == vector.transport), "ip")
        data = memoryview(vector.data)
        is_tcp = self.transport == "tcp"
        both = [_Side(data if direction == vector.direction else data[:0]) for direction in (CLIENT, SERVER)]
        self.sides = tuple(both) if is_tcp else ()
        self.datagrams = [] if is_tcp else [Datagram(vector.direction, 0, data)]

    def turns(self) -> list[tuple[int, int, int]]:
        return [(at, 0, len(side.data)) for at, side in enumerate(self.sides) if len(side.data)]


def _python(trial: Trial, vectors: Sequence[Vector]) -> list[Finding]:
    binding = next(each for each in trial.plugins.bindings if each.plugin == trial.manifest.label)
    findings: list[Finding] = []
    for vector in vectors:
        try:
            ((*messages,),) = binding.dissect(protocol=binding.protocol, streams=[_Whole(vector)])
        except Exception as error:  # noqa: BLE001 (that is what is looked for)
            findings.append(Finding(vector.name, f"raises {type(error).__name__}: {error}"))
            continue
        wrong = next((m for m in messages if isinstance(m, Message) and not _is_inside(m, vector)), None)
        if wrong:
            findings.append(Finding(vector.name, f"a message at {wrong.start}-{wrong.end} of {len(vector.data)} bytes"))
    return findings[:MAX_FINDINGS]


def _is_inside(message: Message, vector: Vector) -> bool:
    return 0 <= message.start <= message.end <= len(vector.data)
