"""Never run: checked by mypy (scripts/check.sh). What users type must keep these types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, assert_type

from kubeshark import Entry, Pipeline, firewall
from kubeshark.pipeline import ExportResult, ImportResult

with Pipeline.open("store") as pipeline:
    assert_type(pipeline, Pipeline)
    assert_type(pipeline.import_file("capture.pcap"), ImportResult)
    assert_type(iter(pipeline.query("http && status_code >= 500")), Iterator[Entry])
    assert_type(iter(pipeline.follow("http && status_code >= 500")), Iterator[Entry])
    assert_type(pipeline.entry("segment-1-0"), Entry | None)
    assert_type(pipeline.export("dns", "dns.pcap"), ExportResult)
    compiled = firewall.compile_policies(firewall.load_policies(["policies"]), firewall.load_inventory("pods.json"))
    assert_type(compiled, firewall.Compiled)
    recorded = pipeline.connections("http").connections
    assert_type(firewall.simulate(compiled, recorded), firewall.Simulation)
    assert_type(firewall.learn(recorded, firewall.parse_subject("host"), firewall.Inventory()), firewall.Lesson)
    for entry in pipeline.query():
        assert_type(entry.to_dict(), dict[str, Any])
        assert_type(entry.id, str)
    pipeline.query(42)  # type: ignore[arg-type]  # an unused ignore fails: this is a test
    pipeline.export("dns", "dns.pcap", format="har")  # type: ignore[arg-type]
