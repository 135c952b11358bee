"""What goes to standard error: one line, and on a terminal where a filter is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from kubeshark.cli.terminal._complain import complain, manner, remark
from kubeshark.errors import UsageError
from kubeshark.pipeline.kfl import KflError, compile_filter


@pytest.fixture
def _quiet() -> Iterator[None]:
    manner.is_quiet = True
    yield
    manner.is_quiet = False


def refusal(kfl: str) -> KflError:
    with pytest.raises(KflError) as raised:
        compile_filter(kfl, now_ns=0)
    return raised.value


def test_a_terminal_is_shown_where_a_filter_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = refusal("http &&\n  zzz")
    complain(error)
    line = "kubeshark: line 2, column 3: unknown variable zzz\n"
    assert capsys.readouterr().err == line
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    complain(error)
    assert capsys.readouterr().err == f"  zzz\n  ^\n{line}"
    complain(UsageError("no filter"))
    assert capsys.readouterr().err == "kubeshark: no filter\n"


@pytest.mark.usefixtures("_quiet")
def test_quiet_leaves_out_what_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    remark("good to know")
    complain("wrong")
    assert capsys.readouterr().err == "kubeshark: wrong\n"
