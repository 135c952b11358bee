"""Columns name variables that their protocol has, and make of bytes what its dissector makes."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from kubeshark.core_capture import MESSAGE, SCANNERS, Scanned
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.dissectors._columns import numbers, sizes, texts


def scanned() -> Scanned:
    messages = np.zeros(2, dtype=MESSAGE)
    messages["start"], messages["end"] = (10, 0), (25, 7)
    messages["number"][:, 1] = (5, 0)
    messages["text"]["at"][:, 2], messages["text"]["length"][:, 2] = (0, 3), (3, 2)
    return Scanned(messages, np.zeros(0), b"abc\xc3\xa9", np.zeros(0), np.zeros(0, dtype=np.bool_))


def test_readers() -> None:
    found, rows = scanned(), np.array([1, 0, 1])
    assert numbers(1)(found, rows) == [0, 5, 0]
    assert numbers(1, str)(found, rows) == ["0", "5", "0"]
    assert texts(2)(found, rows) == ["é", "abc", "é"]
    assert texts(2, str.upper)(found, rows) == ["É", "ABC", "É"]
    assert sizes()(found, rows) == [7, 15, 7]
    assert sizes(but=1)(found, rows) == [7, 10, 7]


@pytest.mark.parametrize("flag", [*SCANNERS, "ws"])
def test_columns_are_variables_of_their_protocol(flag: str) -> None:
    plugins = Plugins()
    binding = next(binding for binding in plugins.protocols.all if binding.protocol.flag == flag and binding.is_builtin)
    columns = import_module(binding.plugin).COLUMNS
    assert columns
    said = [name for protocol in plugins.protocols.beside(binding) for name in protocol.variables]
    assert set(columns) <= set(said)
    assert not [name for name in columns if plugins.variables[name].is_heavy]
