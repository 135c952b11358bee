"""Tells plugins of sealed segments, beside the import: it hands them over and goes on.

One thread, so that plugins see segments in the order in which they were sealed. An import waits for them at its end,
but not for ever.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct, field

from kubeshark.core_capture.store import SegmentInfo
from kubeshark.errors import PluginError
from kubeshark.extension_api import SealedSegment

__all__ = ["WAIT_S", "SealedSegments", "sealed_segment"]

WAIT_S = 60.0  # for one segment, when nothing else is left to do


def sealed_segment(info: SegmentInfo, location: str | Path) -> SealedSegment:
    """Return what plugins may know of a segment of the store in this folder or at this URL."""
    file = f"{info.name}.pcap.zst.age"
    return SealedSegment(
        info.name,
        f"{location}/{file}" if "://" in str(location) else str((Path(location) / file).resolve()),
        info.first_ns,
        info.last_ns,
        info.packets,
        info.flows,
        info.captured_bytes,
        info.stored_bytes,
        info.link_type,
        info.source.name,
    )


class SealedSegments(Struct):
    """A context manager: `tell` inside it, `problems` after it."""

    plugins: Mapping[str, Callable[..., Any]]
    location: str | Path
    wait_s: float = WAIT_S
    problems: list[str] = field(default_factory=list)
    _queue: queue.SimpleQueue[SealedSegment | None] = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None
    _told: int = 0
    _done: int = 0
    _progress: threading.Condition = field(default_factory=threading.Condition)
    _busy: str = ""

    def tell(self, info: SegmentInfo) -> None:
        """Hand a segment over; returns at once."""
        if not self.plugins or not info.packets:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kubeshark-sealed", daemon=True)
            self._thread.start()
        self._told += 1
        self._queue.put(sealed_segment(info, self.location))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._thread is None:
            return
        self._queue.put(None)
        with self._progress:
            while self._done < self._told:
                before = self._done
                if not self._progress.wait(self.wait_s) and self._done == before:
                    self.problems.append(
                        f"{self._busy} is still busy after {self.wait_s:g} s:"
                        f" {self._told - self._done} sealed segments were not waited for"
                    )
                    return

    def _run(self) -> None:
        while (segment := self._queue.get()) is not None:
            for plugin, call in self.plugins.items():
                self._busy = f"plugin {plugin}"
                try:
                    call(segment=segment)
                except PluginError as error:
                    self._note(f"{error} (segment {segment.name})")
                except BaseException as error:  # noqa: BLE001 (whatever a Python plugin raises, the import goes on)
                    self._note(f"plugin {plugin} in segment_sealed: {type(error).__name__}: {error} ({segment.name})")
            with self._progress:
                self._done += 1
                self._progress.notify()

    def _note(self, problem: str) -> None:
        if len(self.problems) < 100:
            self.problems.append(problem)
