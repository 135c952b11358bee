"""Settings of a plugin: what users typed, checked against what the plugin declared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from kubeshark.errors import UsageError
from kubeshark.extension_api._models import SettingSpec, Value

__all__ = ["check_settings", "parse_setting", "shown_settings"]

MAX_SETTING_BYTES = 64 << 10  # a word list; the whole of them must fit one frame
_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_DEFAULTS: Mapping[str, Value] = {"string": "", "int": 0, "double": 0.0, "bool": False, "list": []}


def parse_setting(spec: SettingSpec, text: str) -> Value:
    """Return the value that a user typed; UsageError says what would be right. Lists have commas between items."""
    value: Value
    match spec.type:
        case "string":
            value = text
        case "list":
            value = [part.strip() for part in text.split(",")] if text.strip() else []
        case "bool":
            if text.lower() not in _TRUTHS:
                raise _refuse(spec, f"{text!r} is not true or false")
            value = _TRUTHS[text.lower()]
        case _:
            try:
                value = int(text) if spec.type == "int" else float(text)
            except ValueError as error:
                raise _refuse(spec, f"{text!r} is not a number") from error
    return _check(spec, value)


def check_settings(specs: Sequence[SettingSpec], given: Mapping[str, object]) -> dict[str, Value]:
    """Return a value for every declared setting, in their order; UsageError for what cannot be."""
    known = {spec.name: spec for spec in specs}
    for name in given:
        if name not in known:
            hint = f"there are {', '.join(known)}" if known else "it has none"
            raise UsageError(f"there is no setting {name!r}", hint=hint)
    return {name: _value(spec, given.get(name)) for name, spec in known.items()}


def shown_settings(specs: Sequence[SettingSpec], values: Mapping[str, object]) -> dict[str, object]:
    """Return the values for people: secrets as ***."""
    secrets = {spec.name for spec in specs if spec.secret}
    return {name: "***" if name in secrets and value else value for name, value in values.items()}


def _value(spec: SettingSpec, given: object) -> Value:
    if given is None:
        if spec.required:
            raise _refuse(spec, "is required", "kubeshark plugin set ID " + spec.name + "=…")
        default = _DEFAULTS[spec.type] if spec.default is None else spec.default
        return list(default) if isinstance(default, list) else default
    return _check(spec, given)


def _check(spec: SettingSpec, value: object) -> Value:
    kinds = {"string": str, "int": int, "double": (int, float), "bool": bool, "list": list}
    if not isinstance(value, kinds[spec.type]) or (isinstance(value, bool) and spec.type != "bool"):  # type: ignore[arg-type]
        raise _refuse(spec, f"{value!r} is not of type {spec.type}")
    match value:
        case bool():
            return value
        case int() | float():
            if not math.isfinite(value) or (isinstance(value, int) and abs(value) >= 1 << 63):
                raise _refuse(spec, f"{value} is out of range")
            if spec.minimum is not None and value < spec.minimum:
                raise _refuse(spec, f"{value} is less than {spec.minimum:g}")
            if spec.maximum is not None and value > spec.maximum:
                raise _refuse(spec, f"{value} is more than {spec.maximum:g}")
            return float(value) if spec.type == "double" else value
        case str():
            texts = [value]
            checked: Value = value
        case _:
            texts = [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
            if not isinstance(value, list) or len(texts) != len(value):
                raise _refuse(spec, "is not a list of strings")
            checked = texts
    if sum(len(text.encode("utf-8", "replace")) for text in texts) > MAX_SETTING_BYTES:
        raise _refuse(spec, f"is longer than {MAX_SETTING_BYTES:,} bytes")
    if spec.choices and any(text not in spec.choices for text in texts):
        raise _refuse(spec, f"{'***' if spec.secret else value!r} is none of {', '.join(spec.choices)}")
    return checked


def _refuse(spec: SettingSpec, message: str, hint: str = "") -> UsageError:
    return UsageError(f"setting {spec.name}: {message}", hint=hint)
