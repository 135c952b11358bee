"""Errors are one line that says what and where, and each kind has its exit code."""

from __future__ import annotations

import ast
import inspect
import pickle

import pytest

from kubeshark import errors
from kubeshark.errors import (
    Damaged,
    InputError,
    KubesharkError,
    Malformed,
    PluginCrashed,
    PluginError,
    PluginRejected,
    StoreError,
    Truncated,
    UsageError,
)


def test_the_base_is_never_raised() -> None:
    with pytest.raises(TypeError, match="abstract"):
        KubesharkError("x")


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (UsageError("what"), "what", 2),
        (UsageError("what", hint="do this"), "what: do this", 2),
        (InputError("is odd", file="a.pcap", offset=1234), "a.pcap: is odd at byte 1,234", 3),
        (InputError("is odd", offset=0), "is odd at byte 0", 3),
        (Truncated("ends", file="a"), "a: ends", 3),
        (Malformed("is odd", hint="convert it"), "is odd: convert it", 3),
        (StoreError("no store at x"), "no store at x", 1),
        (Damaged("was cut", file="s.age", offset=7), "s.age: damaged: was cut at byte 7", 1),
        (PluginError("no", plugin="p@1", hook="render"), "plugin p@1 in render: no", 1),
        (PluginError("no", plugin="p@1", hint="fix it"), "plugin p@1: no: fix it", 1),
        (PluginRejected("is not signed", plugin="p@1"), "plugin p@1: is not signed", 1),
        (PluginCrashed("trapped", plugin="p@1", hook="dissect", poison=3), "plugin p@1 in dissect: trapped", 1),
    ],
)
def test_text_and_exit_code(error: KubesharkError, text: str, code: int) -> None:
    assert (str(error), error.exit_code) == (text, code)
    assert error.message
    assert "\n" not in str(error)


def test_errors_carry_their_objects() -> None:
    usage = UsageError("x", line=2, column=7)
    assert (usage.line, usage.column, usage.hint) == (2, 7, "")
    crashed = PluginCrashed("x", plugin="p", hook="dissect", poison=3)
    assert (crashed.plugin, crashed.hook, crashed.poison) == ("p", "dissect", 3)
    damaged = Damaged("x", file="f", offset=9)
    assert (damaged.file, damaged.offset) == ("f", 9)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    classes = {name: getattr(errors, name) for name in errors.__all__}
    drawn: dict[str, str] = {}
    parents = ["KubesharkError"]
    for line in str(errors.__doc__).splitlines():
        mark, _, rest = line.strip().partition(" ")
        if mark in ("*", "-"):
            depth = 1 if mark == "*" else 2
            name = rest.split()[0]
            parents[depth:] = [name]
            drawn[name] = parents[depth - 1]
    assert drawn == {name: kind.__base__.__name__ for name, kind in classes.items() if name != "KubesharkError"}


def test_it_is_a_leaf() -> None:
    imports = [node for node in ast.walk(ast.parse(inspect.getsource(errors))) if isinstance(node, ast.Import)]
    froms = [node.module for node in ast.walk(ast.parse(inspect.getsource(errors))) if isinstance(node, ast.ImportFrom)]
    assert (imports, froms) == ([], ["__future__"])


def test_a_kept_error_keeps_nothing_alive() -> None:
    with pytest.raises(Damaged) as caught:
        raise Damaged("x", file="f") from ValueError()
    error = caught.value
    error.forget_frames()
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)
    assert str(error) == "f: damaged: x"


@pytest.mark.parametrize(
    "error",
    [
        UsageError("what", hint="do this", line=2, column=3),
        Damaged("was cut", file="s.age", offset=7),
        PluginCrashed("ended", plugin="p", hook="dissect", poison=4),
    ],
)
def test_errors_travel_between_processes(error: KubesharkError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.__dict__) == (type(error), str(error), error.__dict__)
