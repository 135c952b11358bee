"""Imports a source into object storage again and again, dying at the first, second, … request or step of the spool.

Run as a program: python _object_crash_child.py URL FOLDER RECIPIENT NODE_KEY. Point n writes to URL-n with the spool
FOLDER/n/spool, and says in FOLDER/n/acknowledged how many packets were acknowledged when it died. Odd points die before
the call, even ones after it: the request was carried out, its answer never came. Ends after the first run that came to
its end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubeshark.core_capture.store import Identity, NodeKey, SourceInfo, Store, Writer, load_identities
from kubeshark.core_capture.store.places import _object_client as requests
from tests.core_capture.store._bench import batch, frames, records

REQUESTS = ("list_with_delimiter", "get", "head", "put", "delete")
DISK = ("fsync", "unlink")
SOURCE = SourceInfo("a.pcap", "ab" * 32, 1000)


def run(url: str, folder: Path, me: Identity, key: NodeKey, die_at: int) -> None:
    """Import; SIGKILL ourselves at call number `die_at`."""
    calls = 0
    writer: Writer | None = None

    def die() -> None:
        (folder / "acknowledged").write_text(str(writer.acknowledged if writer else 0))
        os.kill(os.getpid(), signal.SIGKILL)

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls * 2 - 1 == die_at:
                die()
            own = calls
            try:
                return original(*arguments, **named)
            finally:
                if own * 2 == die_at:
                    die()

        return call

    os.environ["KUBESHARK_SPOOL"] = str(folder / "spool")
    for name in REQUESTS:
        setattr(requests.obstore, name, counted(getattr(requests.obstore, name)))
    for name in DISK:
        setattr(os, name, counted(getattr(os, name)))
    store = Store.open(url, identities=[me], create=True)
    writer = store.writer([me.recipient], source=SOURCE, node="node-a", key=key, segment_bytes=3_000)
    items = records(frames())
    with writer:
        for at in range(0, len(items), 10):
            writer.add(batch(items[at : at + 10], first=at))
        writer.finish()


def main() -> None:
    url, folder, identity, key_path = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    (me,) = load_identities(identity)
    key = NodeKey.load(key_path)
    assert key is not None
    point = 0
    while True:
        point += 1
        own = folder / str(point)
        own.mkdir()
        child = os.fork()
        if child == 0:
            run(f"{url}-{point}", own, me, key, point)
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
