"""A plugin in C++: a class becomes the hooks it has, and an exception costs one item."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubeshark.hosts._supervisor import Poison


def test_a_class_is_a_plugin(compile_c: Callable[..., Any], start: Callable[..., Any]) -> None:
    plugin = start(compile_c(Path(__file__).parent / "faulty" / "cpp"))
    answers = plugin.say(["one", "throw", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"])
    assert answers == [
        ["one!"],
        Poison("was ended by SIGABRT in dissect (lines.cpp:10)"),
        ["caf\N{LATIN SMALL LETTER E WITH ACUTE}!"],
    ]
    assert plugin.process.manifest.hook_bits == 1 << 4
