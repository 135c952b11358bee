"""A thousand segments of four nodes in a bucket: what a query asks for, and the same answer whoever does the work."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks._scale import make_small, measure  # the benches are no package that is installed
from kubeshark.core_capture.store import create_identity
from kubeshark.pipeline import Pipeline
from kubeshark.pipeline.executors._ray import fault_handlers_kept
from tests.core_capture.store._servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SEGMENTS, NODES = 1000, 4


def test_a_thousand_segments(
    url: str, moto_s3: Server, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(root))
    create_identity()
    make_small(url, tmp_path, SEGMENTS, NODES)
    report = measure(url)
    assert (report["segments"], report["nodes"]) == (SEGMENTS, NODES)
    assert report["catalogue_bytes"] / SEGMENTS < 400
    (without,) = report["without_catalogue"]
    address, *_, everything = report["with_catalogue"]
    assert without["entries"] == address["entries"] > 0
    assert without["reads"] > SEGMENTS  # every index
    assert address["opened"] < 40  # those that hold it, and some that the filters do not rule out
    assert address["reads"] < 100
    assert address["lists"] <= 2 * (NODES + 1)
    assert everything["opened"] == SEGMENTS
    assert everything["reads"] < 3 * SEGMENTS
    assert everything["first_row_cpu_s"] < everything["cpu_s"]
    with Pipeline.open(url, create=False) as pipeline:
        here = list(pipeline.rows("http", fields=["id", "timestamp", "url"]))
        there = list(pipeline.rows("http", fields=["id", "timestamp", "url"], jobs=2))
        assert there == here
        assert len(here) == 2 * SEGMENTS
        assert [row["timestamp"] for row in here] == sorted(row["timestamp"] for row in here)


@pytest.mark.skipif(find_spec("ray") is None, reason='no Ray: pip install "kubeshark[ray]"')
def test_by_a_cluster(url: str, moto_s3: Server, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a cluster that the query itself starts and ends."""
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/kubeshark-ray-tests")
    create_identity()
    make_small(url, tmp_path, 200, 2)
    import ray

    try:
        with Pipeline.open(url, create=False) as pipeline:
            here = list(pipeline.rows("http", fields=["id", "timestamp", "url"]))
            query = pipeline.rows("http", fields=["id", "timestamp", "url"], jobs=2, executor="ray")
            assert list(query) == here
            assert query.problems == []
            (told,) = [line for line in query.explain() if line.startswith("per segment")]
            assert "requests" in told
    finally:
        with fault_handlers_kept():
            ray.shutdown()
