"""The conformance kit: a plugin's captures and made-up streams, given to it in pieces, through its sandbox.

A plugin conforms if pieces never matter, streams do not depend on each other, no bytes make it fail, and it finds what
its files of vectors (`tests/*.vectors.jsonl`) say. Those are the same for every language: `write_vectors` makes one.

A Python plugin gets whole sides, so that it is their end that is cut: what it found before the last message of a
beginning must not change when more comes, and where packets begin must not matter.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from kubeshark.errors import PluginCrashed, UsageError
from kubeshark.extension_api import CLIENT, SERVER, Datagram, Ending, Endpoint, Message, Value
from kubeshark.extension_api._conformance import (
    MANY_CUTS,
    SHORT,
    TCP,
    Finding,
    Vector,
    check_cuts,
    check_sides,
    made_up,
    read_vectors,
    shrink,
    written,
)
from kubeshark.extension_api._frame import DISSECT, FrameItem, FrameMessage, decode_dissect
from kubeshark.hosts._feed import TRANSPORTS, frames
from kubeshark.hosts._supervisor import PluginProcess, Poison, Supervision
from kubeshark.pipeline.plugins._trial import Trial, expectations

__all__ = ["Conformance", "answer", "asking", "conform", "golden", "write_vectors"]

PATIENT = Supervision(crashes=1_000_000, backoff_s=0.0)  # it is meant to fail here, and to go on
MAX_FINDINGS = 20
SHRINKS = 20  # each is cut at every place, and may cost a process
SHOWN = 80  # bytes of a stream in a finding
MAX_VECTORS = 64  # of the captures; each is cut hundreds of times
NUMBERS = dict(TRANSPORTS)


class Conformance(Struct, frozen=True):
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
    findings: list[Finding] = [*_check_files(trial, folder)]
    streams = [*vectors, *made_up(vectors, count, chance)]
    if trial.foreign is None:
        return Conformance(len(vectors), count, _search(streams, lambda vector: _check_python(trial, vector), findings))
    process = trial.foreign.process
    with PluginProcess(process.folder, trial.manifest, PATIENT, settings=process.settings) as patient:
        ask = asking(patient)
        findings += check_sides(ask, vectors)
        _search(streams, lambda vector: check_cuts(ask, vector, random.Random(seed)), findings)
    return Conformance(len(vectors), count, findings)


def _search(
    streams: Iterable[Vector], check: Callable[[Vector], Iterator[Finding]], findings: list[Finding]
) -> list[Finding]:
    """Add what is wrong with the streams, each made as short as still shows it."""
    for vector in streams:
        if len(findings) >= MAX_FINDINGS:
            break
        for finding in check(vector):
            if not findings:  # the first is looked at; shrinking all would take long
                short = shrink(vector, lambda trial: any(check(trial)), SHRINKS)
                finding = next(check(short), finding)
                finding = Finding(finding.vector, f"{finding.text}; the shortest such bytes: {short.data[:SHOWN]!r}")
            findings.append(finding)
    return findings


def write_vectors(trial: Trial, folder: Path, file: Path, *, count: int = 200, seed: int = 1) -> int:
    """Write what the plugin finds in its captures' sides and in made-up ones, a line each; return the lines."""
    vectors = golden(trial, folder)
    vectors += made_up(vectors, count, random.Random(seed))
    lines = [written(vector, answer(trial, vector)) for vector in vectors]
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return len(lines)


def answer(trial: Trial, vector: Vector) -> list[dict[str, Any]]:
    """Return the messages of one side in the terms of every language: variables, places, and which keys are equal."""
    binding = next(each for each in trial.plugins.protocols.all if each.plugin == trial.manifest.label)
    (found,) = binding.dissect(protocol=binding.protocol, streams=[_Whole(vector)])
    keys: dict[str, int] = {"": 0}
    return [
        {
            "kind": message.kind.name.lower(),
            "start": message.start,
            "end": message.end,
            "key": keys.setdefault(message.key, len(keys)),
            "one_way": message.one_way,
            "final": message.final,
            "fields": {name: _plain(value) for name, value in sorted(message.fields.items())},
            "error": message.error,
        }
        for message in found
        if isinstance(message, Message)
    ]


def _plain(value: Value) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _check_files(trial: Trial, folder: Path) -> Iterator[Finding]:
    for path in sorted((folder / "tests").glob("*.vectors.jsonl")):
        try:
            vectors = read_vectors(path.read_text("utf-8"), path.name)
        except ValueError as error:
            raise UsageError(str(error)) from error
        for number, (vector, expected) in enumerate(vectors, 1):
            found = answer(trial, vector)
            wrong = next((at for at, pair in enumerate(zip_longest(found, expected)) if pair[0] != pair[1]), None)
            if wrong is not None:
                shown = found[wrong] if wrong < len(found) else "missing"
                yield Finding(f"{path.name}:{number}", f"message {wrong} of {vector.name} is {shown}")


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
                    if len(side.data):
                        label = f"{name}, {('client', 'server')[direction]}"
                        gaps = tuple(side.gaps)
                        vectors.append(Vector(label, direction, bytes(side.data), port, TCP, gaps, side.starts_midway))
            else:
                number = NUMBERS.get(facts.transport, 255)
                vectors += [
                    Vector(f"{name}, datagram {at}", datagram.direction, bytes(datagram.data), port, number)
                    for at, datagram in enumerate(facts.stream_data.datagrams)
                ]
    return vectors[:MAX_VECTORS]


def asking(process: PluginProcess) -> Callable[[Sequence[FrameItem]], list[tuple[int, list[FrameMessage]]]]:
    """Return a function that gives items to the plugin as they are; PluginCrashed if it fails on one."""
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


class _Side(Struct, frozen=True):
    data: memoryview
    gaps: tuple[tuple[int, int, int], ...] = ()
    starts_midway: bool = False
    packet_bytes: int = 1 << 30
    ended: Ending = ""

    def packet_at(self, offset: int) -> int:
        return max(0, offset) // self.packet_bytes

    def time_at(self, offset: int) -> int:
        return self.packet_at(offset)


class _Whole:
    """A stream of one side; its packets have `packet_bytes` each."""

    client = Endpoint("192.0.2.1", 40_000)

    def __init__(self, vector: Vector, packet_bytes: int = 1 << 30) -> None:
        self.server = Endpoint("192.0.2.2", vector.server_port)
        self.transport = next((name for name, number in NUMBERS.items() if number == vector.transport), "ip")
        data = memoryview(vector.data)
        side = _Side(data, vector.gaps, vector.starts_midway, packet_bytes)
        is_tcp = self.transport == "tcp"
        both = [side if direction == vector.direction else _Side(data[:0]) for direction in (CLIENT, SERVER)]
        self.sides = tuple(both) if is_tcp else ()
        self.datagrams = [] if is_tcp else [Datagram(vector.direction, 0, data)]

    def turns(self) -> list[tuple[int, int, int]]:
        return [(at, 0, len(side.data)) for at, side in enumerate(self.sides) if len(side.data)]


def _check_python(trial: Trial, vector: Vector) -> Iterator[Finding]:
    """Look at one side as a whole, in small packets, and cut short at many places."""
    binding = next(each for each in trial.plugins.protocols.all if each.plugin == trial.manifest.label)
    plugin: Any = trial.plugins.manager.get_plugin(binding.plugin)  # not contained: what it raises is told

    def ask(stream: _Whole) -> list[tuple[Any, ...]]:
        (found,) = plugin.dissect(protocol=binding.protocol, streams=[stream])
        messages = [message for message in found if isinstance(message, Message)]
        return [(m.kind, m.start, m.end, m.key, m.one_way, m.final, m.fields, m.error) for m in messages]

    size = len(vector.data)
    try:
        whole = ask(_Whole(vector))
        wrong = next((found for found in whole if not 0 <= found[1] <= found[2] <= size), None)
        if wrong:
            yield Finding(vector.name, f"a message at {wrong[1]}-{wrong[2]} of {size} bytes")
            return
        if vector.transport != TCP:
            return
        if ask(_Whole(vector, 1)) != whole:
            yield Finding(vector.name, "differs when every byte comes in a packet of its own")
            return
        inside = [cut for start, end, _ in vector.runs() for cut in range(start + 1, end)]
        cuts = inside if size <= SHORT else sorted(random.Random(size).sample(inside, MANY_CUTS))
        for cut in cuts:
            gaps = tuple(gap for gap in vector.gaps if gap[1] <= cut)
            begun = ask(_Whole(replace(vector, data=vector.data[:cut], gaps=gaps)))
            if begun[:-1] != whole[: len(begun) - 1 if begun else 0]:
                at = next(at for at, (one, other) in enumerate(zip_longest(begun, whole)) if one != other)
                text = f"message {at} of the first {cut} bytes is another when the rest is there"
                yield Finding(vector.name, text)
                return
    except Exception as error:  # noqa: BLE001 (that is what is looked for)
        yield Finding(vector.name, f"raises {type(error).__name__}: {error}")
