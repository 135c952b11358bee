"""Dissects every third-party capture in one process: nothing crashes, nothing hangs, entries are whole.

How *right* they are is scored by scripts/scoreboard.sh (docs/scoreboard.md).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubeshark.pipeline import FileDissection, Plugins

PARTS = 8  # so that two processes share the work


@pytest.mark.parametrize("part", range(PARTS))
def test_every_capture_is_dissected_in_full(captures: Path, part: int) -> None:
    files = sorted(map(str, (captures / "files").iterdir()))[part::PARTS]
    with FileDissection(files, plugins=Plugins()) as dissection:
        for entry in dissection:
            document = entry.to_dict()
            assert document["id"] == entry.id
            json.dumps([document, entry.row(), entry.wrapper()["representation"]])
    assert all("\n" not in line for line in dissection.report())


def test_an_entry_is_the_same_when_its_stream_is_dissected_alone(captures: Path) -> None:
    """`show` finds what `query` showed: the id does not depend on what else was selected."""
    file = str(captures / "files" / "zeek__http__206_example_a.pcap")
    with FileDissection([file], plugins=Plugins()) as everything:
        whole = {entry.id: entry.to_dict() for entry in everything}
    port = next(iter(whole.values()))["src"]["port"]
    with FileDissection([file], f"src.port == {port}", plugins=Plugins()) as alone:
        found = {entry.id: entry.to_dict() for entry in alone}
    assert found
    assert found.items() <= whole.items()
