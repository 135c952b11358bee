"""Feeds scripts from captures: the packets as they are read, then every entry once, in the order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.plugins._manager import Plugins
from kubeshark.pipeline.scripts._config import read_config
from kubeshark.pipeline.scripts._encode import BATCH
from kubeshark.pipeline.scripts._runtime import Scripts
from kubeshark.pipeline.scripts._script import find_scripts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeshark.pipeline._pipeline import Pipeline
    from kubeshark.pipeline.intake._imports import ImportResult, Progress
    from kubeshark.pipeline.reading._segments import Segment

__all__ = ["feed", "import_with_scripts", "opening", "queried_scripts", "without_scripts"]

_HOOK = "onItemQueried"


def feed(scripts: Scripts, entries: Iterable[Entry]) -> int:
    """Give entries to onItemCaptured, in their order; return how many there were."""
    count, held = 0, []
    for entry in entries:
        held.append(entry)
        count += 1
        if len(held) == BATCH:
            scripts.captured(held)
            held = []
    if held:
        scripts.captured(held)
    return count


@contextmanager
def without_scripts(plugins: Plugins) -> Iterator[None]:
    """What is dissected inside is not looked at by onItemQueried: it leaves for nobody."""
    scripts, plugins.scripts = plugins.scripts, None
    try:
        yield
    finally:
        plugins.scripts = scripts


@contextmanager
def opening(scripts: Scripts, segment: Callable[[str], Segment]) -> Iterator[None]:
    """Let `pcap.*` read packets of segments, by name, inside."""
    before, scripts.streams.open = scripts.streams.open, segment
    try:
        yield
        scripts.settle()
    finally:
        scripts.streams.open = before


def import_with_scripts(
    pipeline: Pipeline,
    file: str | Path,
    scripts: Scripts,
    *,
    keylogs: Sequence[str | Path] = (),
    on_progress: Progress | None = None,
) -> tuple[ImportResult, int]:
    """Import a file and call the hooks for what it added; return the result, and how many entries there were."""
    before = {info.name for info in pipeline.store.segments()}

    with without_scripts(pipeline.plugins):
        result = pipeline.import_file(file, keylogs=keylogs, on_progress=on_progress, on_batch=scripts.on_batch())
        added = [info for info in pipeline.store.segments() if info.name not in before and info.packets]
        if not added or not scripts.has("onItemCaptured", "worker"):
            return result, 0
        names = {info.name for info in added}
        query = pipeline.query(
            since_ns=min(info.first_ns for info in added), until_ns=max(info.last_ns for info in added)
        )
        with opening(scripts, pipeline.store.open_segment):
            count = feed(scripts, (entry for entry in query if entry.entry_id.segment in names))
        scripts.problems += map(str, query.problems)
    return result, count


def queried_scripts(variables: Callable[[], Any]) -> Scripts | None:
    """Return the scripts that look at what queries give, in the hub's role; None if there are none. Loads nothing."""
    config = read_config()
    scripts, problems = find_scripts(config)
    mine = [script for script in scripts if _HOOK in script.text]
    if not mine:
        return None
    found = Scripts(mine, config, roles=("hub",), variables=variables())
    found.problems += problems
    return found
