"""One process of a crowd around a store: python _crowd.py ROLE STORE KEYS SECONDS.

KEYS is a folder with the identity and the node's key. It works so long, and on until it has done something. Prints
what it did, as JSON; ends with 0 unless it met what nobody should meet.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

from kubeshark.core_capture.store import Expired, NodeKey, Retention, Store, load_identities
from kubeshark.errors import StoreError
from tests.core_capture.store._bench import START_NS, Bench, records, udp

PACKETS = 40
ENOUGH = {"written": 4, "read": 4, "pruned": 1, "snapshots": 2}
AT_MOST_S = 60.0


def main() -> None:
    role, folder, keys, seconds = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])
    (me,) = load_identities(keys / "identity")
    key = NodeKey.load(keys / "node.key")
    assert key is not None
    bench = Bench(folder, me, key)
    done: Counter[str] = Counter()
    does = {"writer": "written", "reader": "read", "pruner": "pruned", "snapshots": "snapshots"}[role]
    began = time.monotonic()
    while (spent := time.monotonic() - began) < seconds or (done[does] < ENOUGH[does] and spent < AT_MOST_S):
        try:
            {"writer": write, "reader": read, "pruner": prune, "snapshots": snapshot}[role](bench, done)
        except StoreError as error:
            if "another process writes" not in str(error):
                raise
            done["busy"] += 1
            time.sleep(0.01)
    print(json.dumps(done))


def write(bench: Bench, done: Counter[str]) -> None:
    start = START_NS + done["written"] * 10**9
    bench.fill(
        records([udp("10.0.0.1", 1 + n % 7, "10.0.0.2", 53, bytes(200)) for n in range(PACKETS)], start_ns=start)
    )
    done["written"] += 1
    time.sleep(0.02)


def read(bench: Bench, done: Counter[str]) -> None:
    store = Store.open(bench.path, identities=[bench.me])
    infos = store.segments()
    assert store.problems == [], store.problems
    for info in infos:
        try:
            with store.open_segment(info.name) as segment:
                assert len(segment.select(None)) == info.packets * (16 + 42 + 200)
            done["read"] += 1
        except Expired:
            done["expired"] += 1


def prune(bench: Bench, done: Counter[str]) -> None:
    done["pruned"] += len(bench.open().prune(Retention(max_bytes=20_000), key=bench.key).segments)
    time.sleep(0.05)


def snapshot(bench: Bench, done: Counter[str]) -> None:
    store = bench.open()
    if store.snapshots():
        store.delete_snapshot("now")
    else:
        store.add_snapshot("now", START_NS, START_NS + 10**9)
        done["snapshots"] += 1
    time.sleep(0.05)


if __name__ == "__main__":
    main()
