"""Imports a source again and again, dying at the first, second, … call that touches the disk's order of things.

Run as a program: python _crash_child.py FOLDER RECIPIENT NODE_KEY. For each point it makes FOLDER/<n>/store and writes
how many packets were acknowledged at that moment to FOLDER/<n>/acknowledged. What was not synced by then is cut in
half, as after a power loss. Ends after the first run that came to its end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubeshark.core_capture.store import NodeKey, SourceInfo, Store, Writer
from tests.core_capture.store._bench import batch, frames, records

POINTS = ("fsync", "rename", "replace", "unlink")


def run(folder: Path, recipient: str, key: NodeKey, die_at: int) -> None:
    """Import; SIGKILL ourselves before call number `die_at`."""
    calls = 0
    synced: set[int] = set()
    writer: Writer | None = None

    def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == die_at:
                lose_unsynced(folder / "store", synced)
                (folder / "acknowledged").write_text(str(writer.acknowledged if writer else 0))
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "fsync":
                synced.add(os.fstat(arguments[0]).st_ino)
                return None  # the books are enough: `lose_unsynced` is the disk here
            return original(*arguments, **named)

        return call

    for name in POINTS:
        setattr(os, name, counted(name, getattr(os, name)))
    items = records(frames())
    store = Store.open(folder / "store", identities=[], create=True)
    writer = store.writer([recipient], source=SourceInfo("a.pcap"), node="node-a", key=key, segment_bytes=3_000)
    with writer:
        for at in range(0, len(items), 10):
            writer.add(batch(items[at : at + 10], first=at))
        writer.finish()


def lose_unsynced(store: Path, synced: set[int]) -> None:
    for path in store.iterdir():
        status = path.stat()
        if status.st_ino not in synced:
            os.truncate(path, status.st_size // 2)


def main() -> None:
    folder, recipient, key_path = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    key = NodeKey.load(key_path)
    assert key is not None
    point = 0
    while True:
        point += 1
        own = folder / str(point)
        own.mkdir()
        child = os.fork()
        if child == 0:
            run(own, recipient, key, point)
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
