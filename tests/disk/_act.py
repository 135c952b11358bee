"""Changes a store, as a program: python _act.py WHAT FOLDER SECRETS [SOURCE]. What is safe is said on standard output.

FOLDER/store is the store; SECRETS holds the identities me.age and other.age and the node's key.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.store import Identity, NodeKey, Retention, SourceInfo, Store, load_identities

__all__ = ["ACTS", "SEGMENT_BYTES", "Hands", "capture", "import_source"]

SEGMENT_BYTES = 1_800


class Hands:
    """What is needed to work on a store."""

    def __init__(self, secrets: Path) -> None:
        (self.me,) = load_identities(secrets / "me.age")
        (self.other,) = load_identities(secrets / "other.age")
        key = NodeKey.load(secrets / "node.key")
        assert key is not None
        self.key = key

    def open(self, folder: Path, *, identities: tuple[Identity, ...] = (), create: bool = False) -> Store:
        return Store.open(folder / "store", identities=identities or (self.me,), create=create)


def import_source(hands: Hands, folder: Path, source: Path, say: Callable[[str], object] = str) -> None:
    """Import as `kubeshark import` does, in small segments; says how much is acknowledged."""
    with open_capture(source, batch_bytes=512) as reader:
        info = SourceInfo(source.name, sha256="5a" * 32, size=source.stat().st_size, metadata=reader.metadata)
        store = hands.open(folder, create=True)
        with store.writer(
            [hands.me.recipient], source=info, node="node-a", key=hands.key, segment_bytes=SEGMENT_BYTES
        ) as writer:
            known = 0
            for batch in reader:
                writer.add(batch)
                if writer.acknowledged > known:
                    known = writer.acknowledged
                    say(f"{writer.acknowledged}\n")
            writer.finish()
            say(f"{writer.acknowledged + writer.skipped}\n")
    say("done\n")


def capture(hands: Hands, folder: Path, source: Path, say: Callable[[str], object] = str) -> None:
    """Capture what a file holds, without an identity; says how many of its first packets are acknowledged."""
    with open_capture(source, batch_bytes=512) as reader:
        store = Store.open(folder / "store", identities=(), create=True)
        with store.live_writer(
            [hands.me.recipient],
            source=SourceInfo("eth0", metadata=reader.metadata),
            node="node-a",
            key=hands.key,
            segment_bytes=2 * SEGMENT_BYTES,
        ) as writer:
            for batch in reader:
                writer.add(batch)
                assert writer.flush()
                while len(writer.open_drafts()) > 1:  # a burst that finds no room would be lost
                    time.sleep(0.001)
                say(f"{writer.acknowledged}\n")
            writer.finish()
            say(f"{writer.acknowledged}\n")
    say("done\n")


def _rotate(hands: Hands, folder: Path) -> None:
    hands.open(folder).rotate_keys([str(hands.other.recipient)])


def _prune(hands: Hands, folder: Path) -> None:
    hands.open(folder).prune(Retention(max_bytes=9_000), key=hands.key)


def _recover(hands: Hands, folder: Path) -> None:
    _found, problems = hands.open(folder).recover(key=hands.key)
    assert not problems


def _snapshot(hands: Hands, folder: Path) -> None:
    hands.open(folder).add_snapshot("first", 0, 1 << 62)


ACTS: dict[str, Callable[[Hands, Path], None]] = {
    "rotate": _rotate,
    "prune": _prune,
    "recover": _recover,
    "snapshot": _snapshot,
}


def main() -> None:
    def say(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    what, folder, secrets, *source = sys.argv[1:]
    hands = Hands(Path(secrets))
    if what == "import":
        import_source(hands, Path(folder), Path(source[0]), say)
    elif what == "capture":
        capture(hands, Path(folder), Path(source[0]), say)
    else:
        ACTS[what](hands, Path(folder))
        say("done\n")


if __name__ == "__main__":
    main()
