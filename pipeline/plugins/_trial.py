"""A plugin under development: built, loaded from its folder, and run over captures, without being installed.

A test is a capture in `tests/` with `NAME.expected.jsonl` beside it: a line an entry, of the KFL variables that are not
their defaults. What is asked is the plugin's protocol; `NAME.query` may say otherwise, with a KFL filter in its first
line and the variables, separated by commas, in its second.
"""

from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from kubeshark.errors import PluginError, PluginRejected, UsageError
from kubeshark.extension_api._manifest import Manifest, read_manifest
from kubeshark.extension_api._settings import check_settings
from kubeshark.hosts import ForeignPlugin
from kubeshark.hosts._build import build_plugin
from kubeshark.pipeline._files import FileDissection
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.plugins._manager import Plugins

__all__ = ["Expectation", "Outcome", "Trial", "expectations"]

CAPTURES = (".pcap", ".pcapng", ".pcap.gz", ".pcapng.gz", ".pcap.zst", ".pcapng.zst")
Row = Mapping[str, Any]


class Expectation(Struct, frozen=True):
    """A capture of a plugin's tests, and where it says what is expected."""

    capture: Path
    name: str

    @property
    def file(self) -> Path:
        return self.capture.parent / f"{self.name}.expected.jsonl"

    def rows(self) -> list[Row]:
        """Return the expected rows; UsageError for a line that is no JSON object, none if there is no file."""
        if not self.file.is_file():
            return []
        rows: list[Row] = []
        for number, line in enumerate(self.file.read_text("utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UsageError(f"{self.file}:{number}: {error}") from error
            if not isinstance(row, dict):
                raise UsageError(f"{self.file}:{number}: not a JSON object")
            rows.append(row)
        return rows

    def query(self) -> tuple[str, list[str]]:
        """Return the filter and the variables of NAME.query; empty without one."""
        path = self.capture.parent / f"{self.name}.query"
        if not path.is_file():
            return "", []
        kfl, _, names = path.read_text("utf-8").partition("\n")
        return kfl.strip(), [name.strip() for name in names.replace("\n", ",").split(",") if name.strip()]


class Outcome(Struct, frozen=True):
    """What a test gave: no differences and no problems is a pass."""

    entries: int
    differences: list[str]  # lines for people
    problems: list[str]

    @property
    def is_good(self) -> bool:
        return not self.differences and not self.problems


def expectations(folder: Path) -> list[Expectation]:
    """Return the captures of a plugin's tests, by name."""
    found = []
    for path in sorted((folder / "tests").glob("*")):
        suffix = next((suffix for suffix in CAPTURES if path.name.endswith(suffix)), None)
        if suffix:
            found.append(Expectation(path, path.name.removesuffix(suffix)))
    return found


class Trial:
    """A loaded plugin; a context manager. PluginError if it does not build or start."""

    def __init__(self, folder: Path, settings: Mapping[str, object] | None = None, *, build: bool = True) -> None:
        self.manifest: Manifest = read_manifest(folder)
        if build:
            build_plugin(folder, self.manifest)
        self.foreign: ForeignPlugin | None = None
        if self.manifest.language == "python":
            module = _python_module(folder, self.manifest)
            chosen = {self.manifest.label: settings or {}}
            self.plugins = Plugins(local=[(self.manifest.label, module)], settings=chosen)
        else:
            values = check_settings(self.manifest.setting_specs, settings or {})
            self.foreign = ForeignPlugin(folder, self.manifest, settings=list(values.values()))
            try:
                self.foreign.process.start()
            except PluginError:
                self.foreign.close()
                raise
            self.plugins = Plugins([(self.manifest.label, self.foreign)])
        for problem in self.plugins.take_problems():
            if problem.plugin == self.manifest.label:
                self.close()
                raise problem

    def entries(self, capture: Path, kfl: str = "") -> Iterator[Entry]:
        """Yield the entries of a capture; PluginError afterwards if something went wrong."""
        dissection = FileDissection([str(capture)], kfl, plugins=self.plugins)
        yield from dissection
        if dissection.report():
            own = f"plugin {self.manifest.label} "
            raise PluginError(
                "; ".join(line.removeprefix(own) for line in dissection.report()), plugin=self.manifest.label
            )

    def kfl(self) -> str:
        """The filter for entries of the plugin: its protocol's flag, or everything."""
        return self.manifest.protocol.name if self.manifest.protocol else ""

    def fields(self) -> list[str]:
        """The variables that a test looks at unless it says otherwise."""
        own = [row.variable for row in self.manifest.fields if row.variable]
        added = list(self.manifest.enrich_spec.variables)
        return [*own, *added, "error_message"] if own else ["protocol", *added, "tags", "error_message"]

    def rows(self, expectation: Expectation) -> tuple[list[Row], list[str]]:
        """Return what a capture gives, as its expectation would write it, and what went wrong."""
        kfl, names = expectation.query()
        names = names or self.fields()
        if unknown := [name for name in names if name not in self.plugins.variables]:
            raise UsageError(f"{expectation.name}.query: there is no variable {unknown[0]!r}")
        rows: list[Row] = []
        try:
            rows += [_row(entry, names) for entry in self.entries(expectation.capture, kfl or self.kfl())]
        except PluginError as error:
            return rows, [error.message]
        return rows, []

    def test(self, expectation: Expectation, *, update: bool = False) -> Outcome:
        """Compare a capture with what is expected of it; `update` writes what it gives instead."""
        rows, problems = self.rows(expectation)
        if update and not problems:
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
            expectation.file.write_text("".join(lines), "utf-8")
            return Outcome(len(rows), [], [])
        if not expectation.file.is_file():
            problems.append(f"{expectation.file.name} is missing: write it, or run with --update and look at it")
            return Outcome(len(rows), [], problems)
        return Outcome(len(rows), differences(expectation.rows(), rows), problems)

    def close(self) -> None:
        if hasattr(self, "plugins"):
            self.plugins.close()
        elif self.foreign:
            self.foreign.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _python_module(folder: Path, manifest: Manifest) -> Any:
    """Import the entry as it is now, under a name of its own."""
    path = folder / manifest.entry
    spec = importlib.util.spec_from_file_location(f"_kubeshark_trial_{manifest.id.replace('-', '_')}", path)
    if spec is None or spec.loader is None:
        raise PluginRejected(f"{manifest.entry} is no Python module", plugin=manifest.label)
    module = importlib.util.module_from_spec(spec)
    try:
        # compiled here: what Python cached may be older than a file that was saved twice within a second
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102 (the author's own code)
    except Exception as error:
        tb = error.__traceback__
        while tb is not None and tb.tb_next is not None:
            tb = tb.tb_next
        where = f"{Path(tb.tb_frame.f_code.co_filename).name}:{tb.tb_lineno}" if tb else manifest.entry
        raise PluginError(f"{where}: {type(error).__name__}: {error}", plugin=manifest.label) from error
    return module


def _row(entry: Entry, names: Sequence[str]) -> Row:
    values = ((name, entry.get(name)) for name in names)
    shown = ((name, base64.b64encode(value).decode() if isinstance(value, bytes) else value) for name, value in values)
    return {name: value for name, value in shown if value not in ("", 0, [], {})}


def differences(expected: Sequence[Row], got: Sequence[Row]) -> list[str]:
    """Return lines that say what differs: fields where entries correspond, whole entries where they do not."""
    left, right = ([json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows] for rows in (expected, got))
    lines = []
    for kind, start, end, other_start, other_end in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        pairs = min(end - start, other_end - other_start)
        for at in range(pairs):
            lines += _fields(start + at + 1, expected[start + at], got[other_start + at])
        lines += [f"entry {at + 1} is missing:    {_text(expected[at])}" for at in range(start + pairs, end)]
        lines += [f"entry {at + 1} is unexpected: {_text(got[at])}" for at in range(other_start + pairs, other_end)]
    return lines


def _fields(number: int, expected: Row, got: Row) -> list[str]:
    names = [name for name in {**expected, **got} if expected.get(name) != got.get(name)]
    width = max(map(len, names))
    return [
        f"entry {number}: {name:<{width}}  expected {_value(expected, name)}, got {_value(got, name)}" for name in names
    ]


def _value(row: Row, name: str) -> str:
    return json.dumps(row[name], ensure_ascii=False) if name in row else "nothing"


def _text(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False)
