"""A disk that is full, read-only or broken: one line says so, nothing is half there, and the work goes on later."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Store, create_identity, export, load_identities
from kubeshark.pipeline import Pipeline
from tests.disk._commands import Commands, Done
from tests.disk._shim import read_log

pytestmark = pytest.mark.timeout(300)

FAULTS = {
    "full": ("W", errno.ENOSPC, 0),
    "over quota": ("CD", errno.EDQUOT, 0),
    "one broken write": ("W", errno.EIO, 1),
    "one broken sync": ("S", errno.EIO, 1),
    "one broken rename": ("R", errno.EIO, 1),
    "read-only from then on": ("CRUL", errno.EROFS, 0),
}
"""(kinds of operations of shim.c, what they fail with, how many: 0 is all that follow)"""


class Place:
    """A folder with a home and a store that commands work on."""

    def __init__(self, folder: Path, commands: Commands) -> None:
        self.folder, self.commands = folder, commands
        self.store = folder / "new" / "store"

    def run(self, line: Sequence[str | Path], fail: str = "", log: Path | None = None) -> Done:
        return self.commands.run([*line, "--store", self.store], self.folder, fail=fail, log=log)


@pytest.fixture
def place(tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("HOME", str(tmp_path / "disk" / "home"))
    return Place(tmp_path / "disk", commands)


def new(place: Place) -> None:
    shutil.rmtree(place.folder, ignore_errors=True)
    (place.folder / "home").mkdir(parents=True)


def exported(store: Store) -> bytes:
    out = io.BytesIO()
    export(store, out, form="pcap")
    return out.getvalue()


@pytest.mark.parametrize("fault", FAULTS)
def test_an_import(fault: str, place: Place, source: Path, tmp_path: Path) -> None:
    """Each operation of a first import fails in its turn; then there is room again."""
    kinds, code, count = FAULTS[fault]
    new(place)
    assert place.run(["import", source], log=tmp_path / "log").code == 0
    failed = 0
    for number in range(sum(entry.kind in kinds for entry in read_log(tmp_path / "log"))):
        new(place)
        done = place.run(["import", source], fail=f"{kinds}:{number}:{code}:{count}")
        if done.code != 0:
            failed += 1
            assert_one_line(done, code)
        if place.store.exists() and any(place.store.glob("*.age")):
            store = Store.open(place.store)
            assert len(store.segments()) <= 1, number
            assert store.problems == [], number
        with Pipeline.open(place.store) as pipeline:
            assert pipeline.import_file(source).problems == ()
        store = Store.open(place.store)
        assert exported(store) == source.read_bytes(), number
        assert store.verify().is_sound, number
        left = {".tmp-catalogue.age"} if code == errno.EROFS else set()  # nothing can be cleared away there
        assert set(store.info().leftovers) <= left, number
    assert failed


def assert_one_line(done: Done, code: int) -> None:
    """One error, besides the line that tells of a new identity."""
    lines = [line for line in done.stderr.splitlines() if "made the identity" not in line]
    assert (done.code, len(lines), done.stdout) == (1, 1, ""), done.stderr
    assert lines[0].startswith("kubeshark: ")
    assert os.strerror(code) in lines[0]


CHANGES = {
    "prune": ["store", "prune", "--max-bytes", "100"],
    "rotate": ["store", "rotate-keys", "--to", "OTHER"],
    "snapshot": ["store", "snapshot", "create", "first", "--since", "2020-01-01"],
    "recover": ["store", "recover", "--yes"],
}


WAS_DONE = {"snapshot": "there is a snapshot 'first' already", "rotate": "needs the identity of age1"}
"""What the second run says where the first failed after all was done, and could only not be sure that it lasts."""


@pytest.mark.parametrize("fault", ["full", "one broken sync", "read-only from then on"])
@pytest.mark.parametrize("change", CHANGES)
def test_other_changes(
    change: str,
    fault: str,
    place: Place,
    source: Path,
    tmp_path: Path,
) -> None:
    """They fail with one line and lose nothing; the same command ends what was begun."""
    kinds, code, count = FAULTS[fault]
    new(place)
    with Pipeline.open(place.store) as pipeline:
        pipeline.import_file(source)
    other = create_identity(tmp_path / "other.age")
    (me,) = load_identities()
    line = [str(other.recipient) if word == "OTHER" else word for word in CHANGES[change]]
    if change == "recover":
        (index,) = place.store.glob("2*.idx.age")
        index.unlink()
    template = tmp_path / "template"
    shutil.copytree(place.folder, template)
    assert place.run(line, log=tmp_path / "log").code == 0
    total = sum(entry.kind in kinds for entry in read_log(tmp_path / "log"))
    for number in range(total):
        shutil.rmtree(place.folder)
        shutil.copytree(template, place.folder)
        done = place.run(line, fail=f"{kinds}:{number}:{code}:{count}")
        if done.code != 0:
            assert_one_line(done, code)
        again = place.run(line)
        if again.code != 0:
            assert WAS_DONE[change] in again.stderr, number
        store = Store.open(place.store, identities=[me, other])
        assert exported(store) == source.read_bytes() or change == "prune", number
        assert (store.problems, store.info().leftovers) == ([], ()), number
        assert store.verify().is_sound, number
    assert total
