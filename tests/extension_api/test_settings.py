"""Settings: what a user types becomes a value of the declared type, or a reason."""

from __future__ import annotations

from typing import Any

import pytest

from kubeshark.errors import UsageError
from kubeshark.extension_api import SettingSpec
from kubeshark.extension_api._settings import check_settings, parse_setting, shown_settings

WORD = SettingSpec("word", choices=("x", "y"))
LIMIT = SettingSpec("limit", "int", default=3, minimum=0, maximum=9)
SHARE = SettingSpec("share", "double", maximum=1)
LOUD = SettingSpec("loud", "bool")
NAMES = SettingSpec("names", "list", default=["a"])
TOKEN = SettingSpec("token", required=True, secret=True)


@pytest.mark.parametrize(
    ("spec", "text", "value"),
    [
        (WORD, "x", "x"),
        (LIMIT, "9", 9),
        (SHARE, "0.5", 0.5),
        (SHARE, "1", 1.0),
        (LOUD, "Yes", True),
        (LOUD, "0", False),
        (NAMES, "a, b", ["a", "b"]),
        (NAMES, "", []),
    ],
)
def test_what_is_typed(spec: SettingSpec, text: str, value: Any) -> None:
    parsed = parse_setting(spec, text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("spec", "text", "reason"),
    [
        (WORD, "z", "'z' is none of x, y"),
        (LIMIT, "ten", "not a number"),
        (LIMIT, "10", "more than 9"),
        (LIMIT, "-1", "less than 0"),
        (LIMIT, "9" * 30, "out of range"),
        (SHARE, "nan", "out of range"),
        (LOUD, "maybe", "not true or false"),
        (NAMES, "x" * 70_000, "longer than"),
    ],
)
def test_what_cannot_be(spec: SettingSpec, text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_setting(spec, text)


def test_all_settings_have_values_in_order() -> None:
    specs = (TOKEN, LIMIT, SHARE, LOUD, NAMES)
    values = check_settings(specs, {"token": "t", "share": 1})
    assert list(values.items()) == [("token", "t"), ("limit", 3), ("share", 1.0), ("loud", False), ("names", ["a"])]
    values["names"].append("b")  # type: ignore[union-attr]
    assert check_settings(specs, {"token": "t"})["names"] == ["a"]
    assert shown_settings(specs, values)["token"] == "***"


@pytest.mark.parametrize(
    ("given", "reason"),
    [({}, "token: is required"), ({"token": 1}, "not of type string"), ({"token": "t", "x": 1}, "no setting 'x'")],
)
def test_stored_settings_are_checked_again(given: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        check_settings((TOKEN, LIMIT), given)


def test_a_bool_is_no_number() -> None:
    with pytest.raises(UsageError, match="not of type int"):
        check_settings((LIMIT,), {"limit": True})
