"""Flow entries add up the connections of two hosts to one server port."""

from __future__ import annotations

from pathlib import Path

from kubeshark import Pipeline


def test_a_flow_is_the_sum_of_its_connections(root: Path, tmp_path: Path) -> None:
    with Pipeline.open(tmp_path / "store") as pipeline:
        pipeline.import_file(root / "examples" / "captures" / "sample.pcapng")
        connections = list(pipeline.query("conn"))
        flows = list(pipeline.query("flow"))
        assert all(entry.protocol.name == "flow" for entry in flows)
        sums: dict[int, list[int]] = {}
        for entry in connections:
            added = sums.setdefault(entry.get("flow_id"), [0, 0, 0])
            for at, name in enumerate(("conn_local_bytes", "conn_remote_pkts")):
                added[at] += entry.get(name)
            added[2] += 1
        found = {
            entry.get("flow_id"): [
                entry.get("flow_local_bytes"),
                entry.get("flow_remote_pkts"),
                entry.to_dict()["event"]["data"]["connections"],
            ]
            for entry in flows
        }
        assert found == sums
        for entry in flows[:3]:
            again = pipeline.entry(entry.id)
            assert again is not None
            assert again.to_dict() == entry.to_dict()


def test_flows_come_only_when_they_are_named(root: Path, tmp_path: Path) -> None:
    with Pipeline.open(tmp_path / "store") as pipeline:
        pipeline.import_file(root / "examples" / "captures" / "sample.pcapng")
        assert not [entry for entry in pipeline.query("") if entry.protocol.name == "flow"]
