"""Flow entries add up the connections of two hosts to one server port."""

from __future__ import annotations

from pathlib import Path

from kubeshark import Pipeline
from kubeshark.extension_api import CLIENT, SERVER
from tests.core_capture.reference._packets import ethernet, udp
from tests.pipeline._traffic import Capture, Connection, dns, find


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


def test_a_connection_that_runs_through_segments_is_one() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer().ask().answer().end(CLIENT).end(SERVER)
    Connection(capture, client_port=40_001).open().ask()
    (whole,), (cut,) = (find(capture, "flow", cuts=cuts) for cuts in ([], [3, 5, 9]))
    assert cut.to_dict()["event"] == whole.to_dict()["event"]
    assert cut.to_dict()["event"]["data"]["connections"] == 2
    assert len(cut.facts.parts) == 5  # an export takes them all


def test_a_tunnels_connection_is_added_up_over_segments() -> None:
    capture = Capture()
    for number in range(5):
        capture.add(udp(b"\x08\0\0\0\0\0\x07\0" + ethernet(0x0800, dns(number)), (50_000, 4789)))
    (whole,), (cut,) = (find(capture, "udp_conn && dst.port == 4789", cuts=cuts) for cuts in ([], [2, 4]))
    assert cut.to_dict() == whole.to_dict()
    assert cut.get("conn_local_pkts") == 5
