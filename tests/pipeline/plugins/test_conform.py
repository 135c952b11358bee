"""The conformance kit against real plugins in their sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.errors import UsageError
from kubeshark.pipeline.plugins._conform import conform, golden, write_vectors
from kubeshark.pipeline.plugins._trial import Trial
from tests.pipeline.plugins.test_trial import made


@pytest.mark.parametrize("language", ["js", "python"])
def test_a_scaffold_conforms(tmp_path: Path, language: str) -> None:
    folder = made(tmp_path / "fruit", language)
    with Trial(folder) as trial:
        done = conform(trial, folder, count=10)
    assert (done.golden, done.made_up, done.findings) == (2, 10, [])


def test_golden_vectors_are_the_sides_of_its_captures(tmp_path: Path) -> None:
    folder = made(tmp_path / "fruit", "python")
    with Trial(folder) as trial:
        client, server = golden(trial, folder)
    assert (client.name, client.direction, client.server_port) == ("fruit, port 40000, client", 0, 7700)
    assert client.data.startswith(b"GET apple\r\n")
    assert server.data.endswith(b"nonsense\r\n")


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("} else if (item.last) {", "} else if (true) {", "differs when cut at"),
        ("let at = 0;", "let at = 0; if (bytes.includes(0)) throw new Error('zero');", "Error: zero"),
    ],
)
def test_what_is_wrong_is_found(tmp_path: Path, old: str, new: str, found: str) -> None:
    folder = made(tmp_path / "fruit", "js")
    text = (folder / "plugin.js").read_text()
    assert old in text
    (folder / "plugin.js").write_text(text.replace(old, new))
    with Trial(folder) as trial:
        done = conform(trial, folder, count=20, seed=2)
    assert any(found in str(finding) for finding in done.findings)


def test_a_python_plugin_that_raises_is_found(tmp_path: Path) -> None:
    folder = made(tmp_path / "fruit", "python")
    text = (folder / "fruit.py").read_text()
    (folder / "fruit.py").write_text(text.replace('.decode("utf-8", "replace")', '.decode("ascii")'))
    with Trial(folder) as trial:
        done = conform(trial, folder, count=60)
    assert any("raises UnicodeDecodeError" in str(finding) for finding in done.findings)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("data[at:end], at", 'data[at:end] + b"%d" % len(data), at', "of the first"),  # it looks at what comes later
        (
            "yield from lines(direction, data, start)",
            "yield from lines(direction, data[: side.packet_at(9) * 99], start)",
            "packet",
        ),
    ],
)
def test_a_python_plugin_is_cut_too(tmp_path: Path, old: str, new: str, found: str) -> None:
    folder = made(tmp_path / "fruit", "python")
    text = (folder / "fruit.py").read_text()
    assert old in text
    (folder / "fruit.py").write_text(text.replace(old, new))
    with Trial(folder) as trial:
        done = conform(trial, folder, count=60)
    assert any(found in str(finding) for finding in done.findings), done.findings


def test_vectors_of_one_language_are_found_in_another(tmp_path: Path) -> None:
    python, script = made(tmp_path / "python", "python"), made(tmp_path / "js", "js")
    with Trial(python) as trial:
        assert write_vectors(trial, python, script / "tests" / "fruit.vectors.jsonl", count=20) == 22
    with Trial(script) as trial:
        assert conform(trial, script, count=1).findings == []
    text = (script / "plugin.js").read_text()
    assert "status: " in text
    (script / "plugin.js").write_text(text.replace("status: ", "status: 1 + "))
    with Trial(script) as trial:
        (finding, *_) = conform(trial, script, count=1).findings
    assert str(finding).startswith(
        "fruit.vectors.jsonl:2: message 0 of fruit, port 40000, server is {'kind': 'response'"
    )


def test_a_damaged_file_of_vectors_is_named(tmp_path: Path) -> None:
    folder = made(tmp_path / "fruit", "python")
    (folder / "tests" / "x.vectors.jsonl").write_text("{}\n")
    with Trial(folder) as trial, pytest.raises(UsageError, match=r"x\.vectors\.jsonl:1: no vector"):
        conform(trial, folder, count=1)


def test_only_dissectors(root: Path) -> None:
    folder = root / "tests" / "hosts" / "hooks" / "js"
    with Trial(folder) as trial, pytest.raises(UsageError, match="dissects nothing"):
        conform(trial, folder)
