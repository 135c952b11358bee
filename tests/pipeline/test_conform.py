"""The conformance kit against real plugins in their sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.errors import UsageError
from kubeshark.pipeline._conform import conform, golden
from kubeshark.pipeline._trial import Trial
from tests.pipeline.test_trial import made


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
        done = conform(trial, folder, count=60, seed=2)
    assert any(found in str(finding) for finding in done.findings)


def test_a_python_plugin_that_raises_is_found(tmp_path: Path) -> None:
    folder = made(tmp_path / "fruit", "python")
    text = (folder / "fruit.py").read_text()
    (folder / "fruit.py").write_text(text.replace('.decode("utf-8", "replace")', '.decode("ascii")'))
    with Trial(folder) as trial:
        done = conform(trial, folder, count=60)
    assert any("raises UnicodeDecodeError" in str(finding) for finding in done.findings)


def test_only_dissectors(root: Path) -> None:
    folder = root / "tests" / "hosts" / "hooks" / "js"
    with Trial(folder) as trial, pytest.raises(UsageError, match="dissects nothing"):
        conform(trial, folder)
