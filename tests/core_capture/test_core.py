"""Which core runs, and what is said when it cannot."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from kubeshark.core_capture import load_core
from kubeshark.errors import UsageError


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    load_core.cache_clear()
    yield
    load_core.cache_clear()


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubeshark.core_capture.native", None)


def test_the_reference_is_always_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_core("reference").name == "reference"
    monkeypatch.setenv("KUBESHARK_CORE", "reference")
    assert load_core().name == "reference"
    assert load_core() is load_core()


def test_without_the_c_core_the_reference_runs_and_says_so_once(
    unbuilt: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_core().name == "reference"
    assert load_core().name == "reference"
    (line,) = capsys.readouterr().err.splitlines()
    assert "was not built" in line


def test_the_c_core_is_not_replaced_where_it_was_asked_for(unbuilt: None) -> None:
    with pytest.raises(UsageError, match="make setup"):
        load_core("native")


def test_other_names_are_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_CORE", "fast")
    with pytest.raises(UsageError, match="'fast'"):
        load_core()
