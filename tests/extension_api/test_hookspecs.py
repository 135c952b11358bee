"""Hook points are an interface: their numbers never change, and each says what it is for."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass

import pytest

from kubeshark.extension_api import HOOKS, Hook, _frame, _hookspecs

NUMBERS = {
    "protocols": 0,
    "filters": 0,
    "enriches": 0,
    "jobs": 0,
    "settings": 0,
    "packet_filter": 1,
    "segment_sealed": 2,
    "probe": 3,
    "dissect": 4,
    "enrich": 5,
    "filter": 6,
    "summarize": 7,
    "render": 8,
    "job": 9,
    "configure": 10,
    "start": 11,
    "stop": 12,
}


def test_names_and_numbers_are_those_of_the_abi() -> None:
    assert {hook.name: hook.number for hook in HOOKS} == NUMBERS
    for hook in HOOKS:
        if hook.number:
            assert getattr(_frame, hook.name.upper()) == hook.number
            assert hook.shape in {"answers", "dissect", "texts"}
        else:
            assert hook.shape == "python"


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_a_hook_is_named_after_its_class_and_documented(hook: type[Hook]) -> None:
    assert re.sub(r"(?<!^)(?=[A-Z])", "_", hook.__name__).lower() == hook.name
    assert is_dataclass(hook)
    assert hook.__doc__
    assert hook.__doc__.splitlines()[0].endswith((".", ":"))
    assert hook.stage in {"lifecycle", "capture", "store", "dissect", "filter", "display"}
    assert hook.returns
    assert all(field.name.isidentifier() for field in fields(hook))


def test_every_hook_is_listed() -> None:
    listed = {hook.__name__ for hook in HOOKS}
    classes = {
        name
        for name, value in vars(_hookspecs).items()
        if isinstance(value, type) and issubclass(value, Hook) and value is not Hook
    }
    assert listed == classes
