"""Plugins under development: loaded from their folder, compared with what is expected of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.errors import PluginError, UsageError
from kubeshark.extension_api._scaffold import scaffold
from kubeshark.pipeline.plugins._trial import Trial, differences, expectations


@pytest.fixture(params=["js", "python"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return made(tmp_path / "fruit", request.param)


def made(folder: Path, language: str) -> Path:
    for name, data in scaffold("fruit", language).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def source(folder: Path) -> Path:
    return next(folder.glob("*.js"), folder / "fruit.py")


def test_a_scaffold_passes(folder: Path) -> None:
    (expectation,) = expectations(folder)
    with Trial(folder) as trial:
        outcome = trial.test(expectation)
        assert (outcome.entries, outcome.differences, outcome.problems) == (5, [], [])
        entries = list(trial.entries(expectation.capture, "fruit && fruit_failed()"))
    assert [entry.get("fruit_verb") for entry in entries] == ["PUT"]
    assert entries[0].plugin == "fruit@0.1.0"


def test_differences_name_entry_field_and_values(folder: Path) -> None:
    (expectation,) = expectations(folder)
    text = expectation.file.read_text()
    expectation.file.write_text(text.replace("no such fruit", "nothing"))
    with Trial(folder) as trial:
        outcome = trial.test(expectation)
        assert outcome.differences == ['entry 2: fruit_text  expected "nothing", got "no such fruit"']
        assert trial.test(expectation, update=True).is_good
    assert expectation.file.read_text() == text
    expectation.file.unlink()
    with Trial(folder, build=False) as trial:
        assert "is missing: write it" in trial.test(expectation).problems[0]


def test_a_query_of_its_own(folder: Path) -> None:
    (expectation,) = expectations(folder)
    (folder / "tests" / "fruit.query").write_text("fruit && fruit_status == 200\ndst.port, fruit_verb\n")
    expectation.file.write_text('{"dst.port": 7700, "fruit_verb": "GET"}\n')
    with Trial(folder) as trial:
        assert trial.test(expectation).is_good
        (folder / "tests" / "fruit.query").write_text("fruit\nno_such")
        with pytest.raises(UsageError, match="no variable 'no_such'"):
            trial.test(expectation)


def test_errors_point_to_file_and_line(folder: Path) -> None:
    source(folder).write_text("\n\nthis is no code (\n")
    with pytest.raises(PluginError, match=r"(plugin\.js:3|fruit\.py.*line 3)"):
        Trial(folder)


def test_what_it_raises_is_a_problem(tmp_path: Path) -> None:
    folder = made(tmp_path / "fruit", "js")
    text = (folder / "plugin.js").read_text()
    (folder / "plugin.js").write_text(
        text.replace("let at = 0;", 'let at = 0;\n    if (item.direction) throw new Error("oh");')
    )
    (expectation,) = expectations(folder)
    with Trial(folder) as trial:
        (problem,) = trial.test(expectation).problems
    assert "plugin.js:" in problem
    assert "Error: oh" in problem


def test_a_python_plugin_that_does_not_import(tmp_path: Path) -> None:
    folder = made(tmp_path / "fruit", "python")
    (folder / "fruit.py").write_text("import os\nraise LookupError('no')\n")
    with pytest.raises(PluginError, match=r"fruit\.py:2: LookupError: no"):
        Trial(folder)


@pytest.mark.parametrize(
    ("expected", "got", "lines"),
    [
        ([{"a": 1}], [{"a": 1}], []),
        ([{"a": 1}], [{"a": 2, "b": "x"}], ["entry 1: a  expected 1, got 2", 'entry 1: b  expected nothing, got "x"']),
        ([{"a": 1}, {"a": 2}], [{"a": 2}], ['entry 1 is missing:    {"a": 1}']),
        ([{"a": 1}], [{"a": 1}, {"a": 9}], ['entry 2 is unexpected: {"a": 9}']),
    ],
)
def test_differences(expected: list[dict[str, object]], got: list[dict[str, object]], lines: list[str]) -> None:
    assert differences(expected, got) == lines


def test_an_expectation_that_is_no_json(folder: Path) -> None:
    (expectation,) = expectations(folder)
    expectation.file.write_text('{"a": 1}\n{')
    with pytest.raises(UsageError, match=r"expected\.jsonl:2: "):
        expectation.rows()
    expectation.file.write_text("3\n")
    with pytest.raises(UsageError, match="not a JSON object"):
        expectation.rows()
