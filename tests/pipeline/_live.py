"""A capture that goes on: packets come piece by piece into the log of an open segment, which is then sealed."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from kubeshark.core_capture import Interface, RecordBatch, SourceMetadata, load_core
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.store import Identity, NodeKey, SourceInfo, Store, load_identities
from kubeshark.core_capture.store.places._local import LocalBackend
from kubeshark.core_capture.store.places._names import log_name, make_name
from kubeshark.core_capture.store.segments._info import Chain
from kubeshark.core_capture.store.segments._segment import publish, write_segment
from kubeshark.core_capture.store.writing._log import read_log
from kubeshark.core_capture.store.writing._piece import Origin, Piece, write_piece

__all__ = ["LiveCapture", "packets_of"]

PIECE_BYTES = 2 << 20
RAW = 101


def packets_of(file: Path) -> dict[int, list[bytes]]:
    """Return the records of a capture file, by link type."""
    core = load_core()
    batches: dict[int, list[RecordBatch]] = {}
    with open_capture(str(file)) as reader:
        for batch in reader:
            batches.setdefault(batch.link_type, []).append(batch)
    found = {}
    for link_type, members in batches.items():
        data = b"".join(bytes(batch.data) for batch in members)
        offsets, end = core.offsets(data)
        bounds = [*offsets.tolist(), end]
        found[link_type] = [data[low:high] for low, high in pairwise(bounds)]
    return found


@dataclass
class LiveCapture:
    """Who captures: `add` makes packets visible, `seal` ends the segment; the next packets open another one."""

    path: Path
    identity: Identity
    link_type: int = 1
    number: int = 1
    node: str = "here"
    key: NodeKey = field(default_factory=NodeKey.generate)
    _ordinal: int = 0
    _pieces: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        self.store = Store.open(self.path, identities=[self.identity], create=True)
        self.files = LocalBackend(self.path)

    def add(self, records: Sequence[bytes]) -> None:
        """Write pieces of the log: one, if it is not too large for that."""
        if sum(map(len, records)) > PIECE_BYTES and len(records) > 1:
            half = len(records) // 2
            self.add(records[:half])
            self.add(records[half:])
            return
        if not records:
            return
        if not self.name:
            start_ns = int.from_bytes(records[0][:4], "little") * 1_000_000_000
            self.name = make_name(start_ns, self.node, self.number)
        self._pieces += 1
        piece = Piece(
            segment=self.name,
            number=self._pieces,
            node=self.node,
            created="2026-01-01T00:00:00Z",
            link_type=self.link_type,
            data=b"".join(records),
            ordinals=np.arange(self._ordinal, self._ordinal + len(records), dtype=np.uint64),
            extras={},
            origin=Origin("eth0"),
            metadata=SourceMetadata("pcap", interfaces=[Interface(self.link_type, 65_535)]),
            first_block=0,
        )
        self._ordinal += len(records)
        with self.files.create(".tmp-piece") as out:
            write_piece(out, piece, [self.identity.recipient], self.key)
        self.files.publish(".tmp-piece", log_name(self.name, self._pieces))

    def seal(self) -> None:
        """Make a segment of it, in the writer's order: first the segment, then the log goes."""
        opened, problems = read_log(self.files, [self.identity])
        assert not problems
        draft = next(each for each in opened if each.name == self.name).draft
        chain = Chain(0, "", self.key.public)
        recipients = [self.identity.recipient]
        write_segment(self.files, draft, chain, core=load_core(), recipients=recipients, key=self.key)
        publish(self.files, self.name)
        for piece in range(1, self._pieces + 1):
            self.files.delete(log_name(self.name, piece))
        self.number, self.name, self._pieces = self.number + 1, "", 0


def capture_in_real_time(
    path: Path, seconds: float, *, rate: int = 100, goes_on: Callable[[], bool] | None = None
) -> None:
    """Write exchanges as they happen, `rate` a second, with the live writer; a segment lasts three seconds.

    It takes so long, and then as long as it `goes_on`.
    """
    from tests.pipeline._traffic import Capture, Connection, dns

    source = SourceInfo("eth0", metadata=SourceMetadata(interfaces=[Interface(RAW, 65_535)]))
    recipients = [identity.recipient for identity in load_identities()]
    capture, began = Capture(), time.time()
    connections = [Connection(capture, client_port=40_000 + number) for number in range(8)]
    written = done = 0
    with Store.open(path).live_writer(recipients, source=source, segment_seconds=3) as writer:
        while (now := time.time()) < began + seconds or (goes_on and goes_on()):
            while done < (now - began) * rate:
                capture.now_ns = time.time_ns()
                connection = connections[done % 8]
                if done < 8:
                    connection.open()
                connection.ask(f"GET /{done} HTTP/1.1\r\nHost: live\r\n\r\n".encode()).answer()
                capture.add(dns(done % 65_536, client_port=33_000 + done % 100))
                capture.add(dns(done % 65_536, answer=True, client_port=33_000 + done % 100))
                done += 1
            fresh = capture.records[written:]
            if fresh:
                writer.add(RecordBatch(RAW, b"".join(fresh), range(written, written + len(fresh))))
                written += len(fresh)
            writer.tick()
            time.sleep(0.01)
        writer.finish()


if __name__ == "__main__":
    waits = sys.argv[3:] == ["--until-stdin-ends"]
    goes_on = (lambda: not select.select([0], [], [], 0)[0]) if waits else None
    capture_in_real_time(Path(sys.argv[1]), float(sys.argv[2]), goes_on=goes_on)
