"""Metrics that scripts set, and their text for Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

__all__ = ["MAX_SERIES", "MetricError", "ScriptMetrics"]

MAX_SERIES = 1000  # of a script
PREFIX = "kubeshark_script_"
_TYPES = {1: "counter", 2: "gauge", 3: "untyped"}
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,199}")


class MetricError(ValueError):
    """A metric that cannot be: one line."""


class _Family(Struct):
    help: str
    type: str
    series: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)  # (role, labels) → value


class ScriptMetrics:
    """By script and name. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._families: dict[str, dict[str, _Family]] = {}

    def set(self, script: str, role: str, name: Any, text: Any, kind: Any, value: Any, labels: Any = None) -> None:
        """Keep the current value; a counter that falls is a reset. MetricError for what is no metric."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise MetricError(f"{str(name)[:80]!r} is no name of a metric")
        if kind not in _TYPES:
            raise MetricError(f"{name}: there is no type {str(kind)[:20]!r}: 1 counter, 2 gauge, 3 untyped")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise MetricError(f"{name}: the value {str(value)[:40]!r} is no number")
        given = labels or {}
        if not isinstance(given, Mapping):
            raise MetricError(f"{name}: the labels are no object")
        for label in given:
            if not _LABEL.fullmatch(label) or label in ("script", "node"):
                raise MetricError(f"{name}: {label[:80]!r} is no name of a label")
        key = (role, tuple(sorted((label, _text(each)) for label, each in given.items())))
        with self._lock:
            families = self._families.setdefault(script, {})
            family = families.get(name)
            if family is None or family.type != _TYPES[kind]:
                family = families[name] = _Family(_text(text), _TYPES[kind])
            if key not in family.series and sum(len(each.series) for each in families.values()) >= MAX_SERIES:
                raise MetricError(f"{name}: more than {MAX_SERIES:,} series")
            family.series[key] = float(value)

    def forget(self, script: str) -> None:
        """A script was reloaded or removed: its metrics start anew."""
        with self._lock:
            self._families.pop(script, None)

    def render(self, *, raw_names: bool = False) -> str:
        """Return all metrics as text; `raw_names` adds each under the name that the script gave it."""
        with self._lock:
            merged: dict[str, tuple[str, str, list[str]]] = {}
            for script, families in self._families.items():
                for name, family in families.items():
                    for shown in (PREFIX + name, name) if raw_names else (PREFIX + name,):
                        _, _, lines = merged.setdefault(shown, (family.help, family.type, []))
                        for (role, labels), value in family.series.items():
                            pairs = (("script", script), ("node", role), *labels)
                            inside = ",".join(f'{label}="{_escaped(each)}"' for label, each in pairs)
                            lines.append(f"{shown}{{{inside}}} {_number(value)}")
        text = []
        for shown, (help_text, kind, lines) in sorted(merged.items()):
            text += [f"# HELP {shown} {_escaped(help_text, quotes=False)}", f"# TYPE {shown} {kind}", *lines]
        return "".join(f"{line}\n" for line in text)


def _text(value: Any) -> str:
    return ("" if value is None else str(value).lower() if isinstance(value, bool) else str(value))[:1000]


def _escaped(text: str, *, quotes: bool = True) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", " ")
    return escaped.replace('"', '\\"') if quotes else escaped


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
