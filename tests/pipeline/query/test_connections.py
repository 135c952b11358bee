"""Connections of a store: each once, whatever segments it runs through, and the ids open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.store import SourceInfo, Store
from kubeshark.pipeline import Pipeline
from kubeshark.pipeline.query._connections import find_connections


@pytest.fixture
def sample(root: Path) -> Path:
    return root / "examples" / "captures" / "sample.pcapng"


def test_every_connection_once_and_its_id_opens(sample: Path, tmp_path: Path) -> None:
    with Pipeline.open(tmp_path / "store") as pipeline:
        result = pipeline.import_file(sample)
        found = find_connections(pipeline)
        [connections] = found.connections
        assert found.problems == [] and len(found.nodes) == 1
        assert len(connections.rows) == result.flows
        shown = 0
        for at, row in enumerate(connections.rows.tolist()):
            entry_id = connections.entry_id(at)
            if entry_id:
                entry = pipeline.entry(entry_id)
                assert entry is not None, entry_id
                assert entry.facts.parts[0][1] == row
                shown += 1
        assert shown > 50


def test_filters_and_windows(sample: Path, tmp_path: Path) -> None:
    with Pipeline.open(tmp_path / "store") as pipeline:
        pipeline.import_file(sample)
        dns = find_connections(pipeline, "dst.port == 53").connections[0].flows  # by the index
        assert set(np.where(dns["client"] == 0, dns["port_b"], dns["port_a"]).tolist()) == {53}
        http = find_connections(pipeline, "http && status_code == 404").connections[0]  # by entries
        assert 0 < len(http.rows) < 10
        assert find_connections(pipeline, "http && status_code == 599").connections == []
        assert find_connections(pipeline, until_ns=1).connections == []
        first = int(find_connections(pipeline).connections[0].flows["first_ns"].min())
        some = find_connections(pipeline, until_ns=first).connections[0].flows
        assert 0 < len(some) < result_flows(pipeline)


def result_flows(pipeline: Pipeline) -> int:
    return pipeline.store.info().flows


def test_parts_in_several_segments_are_one(sample: Path, tmp_path: Path) -> None:
    with Pipeline.open(tmp_path / "whole") as whole, Pipeline.open(tmp_path / "cut") as cut:
        whole.import_file(sample)
        one = find_connections(whole).connections[0].flows
        store = Store.open(tmp_path / "cut")
        recipients = [str(identity.recipient) for identity in store.identities]
        with (
            open_capture(sample) as reader,
            store.writer(recipients, source=SourceInfo(name="x"), segment_bytes=60_000) as writer,
        ):
            for batch in reader:
                writer.add(batch)
            writer.finish()
        found = find_connections(cut).connections
        assert len(found) > 3
        flows = np.concatenate([each.flows for each in found])
        tcp = flows["transport"] == 6
        assert tcp.sum() == (one["transport"] == 6).sum()
        assert flows["packets"].sum() == one["packets"].sum()
