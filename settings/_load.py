"""Puts the configuration together: defaults < file < environment < flags < --set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kubeshark._document import MAX_BYTES, read_documents
from kubeshark.errors import UsageError
from kubeshark.settings._find import config_path
from kubeshark.settings._ignored import NOT_READ
from kubeshark.settings._keys import is_part, keys
from kubeshark.settings._model import Part, Settings
from kubeshark.settings._override import read_overrides
from kubeshark.settings._read import read_file

__all__ = ["Loaded", "build", "load"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration in force."""

    settings: Settings
    sources: Mapping[str, str]  # every key path → "default", "file:LINE", "environment VAR", "flag" or "--set"
    warnings: tuple[str, ...] = ()  # for the user, a line each
    path: Path | None = None  # of the file

    def is_given(self, path: str) -> bool:
        """Say whether somebody set this key."""
        return self.sources[path] != "default"


def load(
    path: str | Path | None = None,
    environ: Mapping[str, str] = os.environ,
    overrides: Iterable[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Loaded:
    """Return the configuration. `flags`: key path → value of a command's own flags, as the model's types.

    Raise UsageError for a file that is not there, or that says what it cannot, with line and column.
    """
    file = config_path(path, environ)
    values: dict[str, Any] = {}
    sources = dict.fromkeys(keys(), "default")
    warnings: list[str] = []
    if file is not None:
        found, warnings = read_file_at(file)
        values |= {key: value for key, (value, _line) in found.items()}
        sources |= {key: f"{file}:{line}" for key, (_value, line) in found.items()}
    for key, value, variable in _from_environment(environ):
        values[key] = value
        sources[key] = f"environment {variable}"
    for key, value in (flags or {}).items():
        values[key] = value
        sources[key] = "flag"
    given, more = read_overrides(overrides, values)
    values |= given
    sources |= dict.fromkeys(given, "--set")
    for key in _unread(values):
        where = "--set" if sources[key] == "--set" else f"{sources[key]}:"
        more.append(f"{where} {key} has no effect here")
    return Loaded(build(values), sources, (*warnings, *more), file)


def _unread(values: Mapping[str, Any]) -> list[str]:
    """Return the keys that somebody gave another value than the default, and that nothing reads."""
    return [path for path, key in keys().items() if path in NOT_READ and values.get(path, key.default) != key.default]


def read_file_at(file: Path) -> tuple[dict[str, tuple[Any, int]], list[str]]:
    """Return key path → (value, line) of a file, and warnings."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    documents = read_documents(data, str(file))
    if len(documents) > 1:
        raise documents[1].place.error("a configuration is one document")
    return read_file(documents[0]) if documents else ({}, [])


def build(values: Mapping[str, Any]) -> Settings:
    """Return the settings with these values by key path, defaults elsewhere."""
    made: Settings = _build(Settings, "", values)
    return made


def _build(part: type[Part], prefix: str, values: Mapping[str, Any]) -> Any:
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(part):
        path = f"{prefix}{field.encode_name}"
        if is_part(field.type):
            given[field.name] = _build(field.type, f"{path}.", values)
        elif path in values:
            given[field.name] = values[path]
    return part(**given)


def _from_environment(environ: Mapping[str, str]) -> Iterable[tuple[str, Any, str]]:
    if store := environ.get("KUBESHARK_STORE"):
        yield ("store.url" if "://" in store else "store.path"), store, "KUBESHARK_STORE"
        if "://" not in store:  # it wins over a URL of the file
            yield "store.url", "", "KUBESHARK_STORE"
    if identity := environ.get("KUBESHARK_IDENTITY"):
        yield "store.identityFile", identity, "KUBESHARK_IDENTITY"
