"""kill -9 at every request of an import into object storage, with the spool of the dead and without it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from kubeshark.core_capture.store import Identity, NodeKey, Store, create_identity, export
from tests.core_capture.store._bench import batch, frames, records
from tests.core_capture.store._object_crash_child import SOURCE
from tests.core_capture.store._servers import BUCKET, Server

ITEMS = records(frames())


class Death(NamedTuple):
    point: int
    url: str
    folder: Path
    acknowledged: int


class Deaths(NamedTuple):
    me: Identity
    key: NodeKey
    all: list[Death]


WAYS = ["next import", "recover", "spool lost", "recover, spool lost"]


@pytest.fixture(params=WAYS)
def died(request: pytest.FixtureRequest, moto_s3: Server, tmp_path: Path, root: Path) -> Deaths:
    """One store for each point at which its import died, as it lies there afterwards."""
    me = create_identity(tmp_path / "identity.age")
    key = NodeKey.load_or_create(tmp_path / "node.key")
    (tmp_path / "runs").mkdir()
    url = f"s3://{BUCKET}/crash-{os.urandom(4).hex()}"
    program = Path(__file__).with_name("_object_crash_child.py")
    subprocess.run(
        [sys.executable, program, url, tmp_path / "runs", tmp_path / "identity.age", tmp_path / "node.key"],
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
        timeout=100,
    )
    points = sorted((tmp_path / "runs").iterdir(), key=lambda path: int(path.name))[:-1]
    deaths = [
        Death(int(point.name), f"{url}-{point.name}", point, int((point / "acknowledged").read_text()))
        for point in points
    ]
    return Deaths(me, key, deaths)


def test_nothing_acknowledged_is_lost_and_nothing_comes_twice(
    died: Deaths, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = request.node.callspec.params["died"]
    # Every call two ways, before and after it; all four take minutes.
    chosen = [death for death in died.all if (death.point - 1) // 2 % 2 == WAYS.index(way) % 2]
    check_deaths(died, way, monkeypatch, chosen)


def check_deaths(died: Deaths, way: str, monkeypatch: pytest.MonkeyPatch, chosen: list[Death]) -> None:
    assert len(died.all) > 40
    promises = [death.acknowledged for death in died.all]
    assert promises == sorted(promises)
    assert len(set(promises)) > 2
    for death in chosen:
        spool = death.folder / ("elsewhere" if "lost" in way else "spool")
        monkeypatch.setenv("KUBESHARK_SPOOL", str(spool))
        check_death(death, died.me, died.key, recover="recover" in way)


def check_death(death: Death, me: Identity, key: NodeKey, *, recover: bool) -> None:
    store = Store.open(death.url, identities=[me], create=True)
    stored = sum(info.packets for info in store.segments())
    assert stored >= death.acknowledged, death
    assert store.problems == []  # no segment is half visible
    assert exported(store) == b"".join(ITEMS[:stored])
    if recover:
        found, problems = store.recover(key=key)
        assert problems == [], death
        recovered = sum(info.packets for info in store.segments())
        assert recovered >= stored, (death, found)
        assert is_sound(store, key) == [], death
        stored = recovered
        if any(leftover.action == "rebuild" for leftover in found):  # its source is not known to be this one
            assert exported(store) == b"".join(ITEMS[:stored])
            return
    with store.writer([me.recipient], source=SOURCE, node="node-a", key=key, segment_bytes=3_000) as writer:
        for at in range(0, len(ITEMS), 10):
            writer.add(batch(ITEMS[at : at + 10], first=at))
        writer.finish()
    assert exported(store) == b"".join(ITEMS), death
    assert store.import_state(SOURCE.sha256).complete
    assert store.info().leftovers == (), death
    assert is_sound(store, key) == [], death
    assert is_sound(Store.open(death.url, identities=[me]), key) == [], death


def is_sound(store: Store, key: NodeKey) -> list[str]:
    return [str(finding) for finding in store.verify([key.public]).findings if finding.kind != "note"]


def exported(store: Store) -> bytes:
    out = io.BytesIO()
    export(store, out, form="pcap")
    return out.getvalue()[24:]
