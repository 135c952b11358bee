"""What a dissector may hand over is declared: a query skips protocols that cannot lead to what is asked for."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from kubeshark.pipeline import Plugins
from kubeshark.pipeline.dissectors import BUILTINS


@pytest.mark.parametrize("name", BUILTINS)
def test_whoever_hands_over_says_to_whom(name: str) -> None:
    module = import_module(name)
    declared = {flag for protocol in module.protocols() for flag in protocol.hands_over}
    assert bool(declared) == ("Handover(" in inspect.getsource(module))
    assert declared <= {"*", *(binding.protocol.flag for binding in Plugins().protocols.all)}
