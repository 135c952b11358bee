"""Row 10: how long after its last packet an entry is on the screen, from a capture in another process.

The recording is played into a store in real time by the live writer, its packets stamped as they come; `kubeshark query
--follow` reads the store. What counts is the time from an entry's last packet to its line. Waiting is not CPU: on a
busy machine the figures are those of the machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks._measure import Result
from kubeshark.core_capture import Interface, RecordBatch, SourceMetadata, load_core
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.store import SourceInfo, Store, create_identity, identity_path, load_identities

__all__ = ["play", "run"]

SECONDS = 30
WATCHED = "http || dns || redis || postgresql"
STEP_S = 0.02


def run(recording: Path, seconds: int = SECONDS) -> list[Result]:
    """Play the recording, watch it, and return the latencies."""
    if not identity_path().exists():
        create_identity(identity_path())
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        Store.open(store, create=True)
        command = [sys.executable, "-m", "kubeshark", "query", WATCHED, "--follow", "--store", str(store)]
        command += ["--output", "jsonl", "--fields", "id,timestamp,elapsed_time"]
        seen: list[tuple[float, str]] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
            stream = watching.stdout
            assert stream is not None
            reading = threading.Thread(target=lambda: seen.extend((time.time(), line) for line in stream))
            reading.start()
            time.sleep(3)  # until it has begun
            playing = [sys.executable, "-m", "benchmarks._live", str(recording), str(store), str(seconds)]
            subprocess.run(playing, check=True)
            time.sleep(2)
            watching.terminate()
        reading.join()
    late = np.array([at - _end(json.loads(line)) for at, line in seen])
    p50, p99 = np.percentile(late, [50, 99])
    note = f"p50 {p50:.2f} s, worst {late.max():.2f} s; {len(late)} entries in {seconds} s"
    return [Result(10, "live view: seconds to be shown, p99", "the packet", float(p99), 1.0, "lower", note)]


def _end(entry: dict[str, str]) -> float:
    """Return when the last packet came, in seconds since 1970."""
    begun = np.datetime64(entry["timestamp"].removesuffix("Z"), "ns").astype(np.int64)
    return float(begun) / 1e9 + int(entry["elapsed_time"]) / 1e6


def play(recording: Path, store: Path, seconds: float) -> None:
    """Write the recording into the store in so much time, each packet stamped with the time at which it comes."""
    core, opened = load_core(), Store.open(store)
    with open_capture(str(recording)) as reader:
        batches = list(reader)
    link_type = batches[0].link_type
    data = b"".join(bytes(batch.data) for batch in batches if batch.link_type == link_type)
    offsets, end = core.offsets(data)
    bounds = np.append(offsets, end).astype(np.int64)
    times = core.decode(data, link_type).packets["time_ns"].astype(np.int64)
    due = (times - times[0]) / max(1, int(times[-1] - times[0])) * seconds
    source = SourceInfo("recording", metadata=SourceMetadata(interfaces=[Interface(link_type, 262_144)]))
    recipients = [identity.recipient for identity in load_identities()]
    began, at = time.time(), 0
    with opened.live_writer(recipients, source=source, segment_seconds=10) as writer:
        while at < len(due):
            stop = max(at, int(np.searchsorted(due, time.time() - began, side="right")))
            if stop > at:
                piece = bytearray(data[bounds[at] : bounds[stop]])
                for packet in range(at, stop):
                    now_ns = time.time_ns()
                    place = int(bounds[packet] - bounds[at])
                    piece[place : place + 4] = (now_ns // 10**9).to_bytes(4, "little")
                    piece[place + 4 : place + 8] = (now_ns % 10**9).to_bytes(4, "little")
                writer.add(RecordBatch(link_type, bytes(piece), range(at, stop)))
                at = stop
            writer.tick()
            time.sleep(STEP_S)
        writer.finish()


if __name__ == "__main__":
    play(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
