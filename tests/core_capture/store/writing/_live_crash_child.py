"""Captures again and again, dying at the first, second, … call that touches the disk's order of things.

Run as a program: python _live_crash_child.py FOLDER RECIPIENT NODE_KEY EVERY. For every EVERY-th point it makes
FOLDER/<n>/store and writes to FOLDER/<n>/promised how many packets were acknowledged at that moment, and how many of
the first ones were known to be. What was not synced by then is cut in half, as after a power loss. Ends after the
first run that came to its end.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubeshark.core_capture._records import Interface, SourceMetadata
from kubeshark.core_capture.store import LiveWriter, NodeKey, SourceInfo, Store
from tests.core_capture.store._bench import batch, frames, records
from tests.core_capture.store._crash_child import POINTS, lose_unsynced

NS = 1_000_000_000


class Run:
    """One capture, and its death."""

    def __init__(self, folder: Path, die_at: int) -> None:
        self.folder, self.die_at = folder, die_at
        self.calls = self.known = 0
        self.synced: set[int] = set()
        self.writer: LiveWriter | None = None
        self._dying = threading.Lock()

    def counted(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            with self._dying:
                self.calls += 1
                if self.calls == self.die_at:
                    self.die()
                if name == "fsync":
                    self.synced.add(os.fstat(arguments[0]).st_ino)
                    return None
                return original(*arguments, **named)

        return call

    def die(self) -> None:
        """Nothing is written after this: who would, waits for the lock."""
        lose_unsynced(self.folder / "store", self.synced)
        acknowledged = self.writer._acknowledged if self.writer else 0
        (self.folder / "promised").write_text(f"{acknowledged} {self.known}")
        os.kill(os.getpid(), signal.SIGKILL)

    def capture(self, recipient: str, key: NodeKey) -> None:
        for name in POINTS:
            setattr(os, name, self.counted(name, getattr(os, name)))
        items = records(frames())
        metadata = SourceMetadata("pcapng", interfaces=[Interface(1, 262_144, 10**9, name="eth0")])
        store = Store.open(self.folder / "store", identities=[], create=True)
        self.writer = writer = store.live_writer(
            [recipient], source=SourceInfo("eth0", metadata=metadata), node="node-a", key=key, segment_bytes=2_600
        )
        with writer:
            for at in range(0, len(items), 6):
                writer.add(batch(items[at : at + 6], first=at))
                assert writer.flush()
                self.known = at + 6
                writer.note_counters(received=at + 6)
                writer.tick(at * NS)
            writer.finish()


def main() -> None:
    folder, recipient, key_path, every = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    key = NodeKey.load(key_path)
    assert key is not None
    for point in range(1, 10_000, every):
        own = folder / str(point)
        own.mkdir()
        child = os.fork()
        if child == 0:
            Run(own, point).capture(recipient, key)
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
