"""The exporter example: the counters of a real capture, read back by Prometheus' own client."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kubeshark.pipeline import Plugins
from kubeshark.pipeline._files import FileDissection
from kubeshark.pipeline.plugins._scheduler import run_job
from kubeshark.pipeline.plugins._trial import _python_module


@pytest.fixture
def exporter(root: Path) -> Any:
    class Named:
        id, label, entry = "exporter", "exporter", "exporter.py"

    return _python_module(root / "examples" / "plugins" / "python" / "exporter", Named())  # type: ignore[arg-type]


def test_the_job_writes_what_was_counted(exporter: Any, root: Path, tmp_path: Path) -> None:
    file = tmp_path / "kubeshark.prom"
    with Plugins(local=[("exporter", exporter)], settings={"exporter": {"file": str(file)}}) as plugins:
        assert plugins.take_problems() == []
        entries = list(FileDissection([str(root / "examples/captures/sample.pcapng")], "http || dns", plugins=plugins))
        (job,) = (job for job in plugins.jobs if job.plugin == "exporter")
        assert run_job(job, 0) == ""
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(file.read_text())
        for sample in family.samples
    }
    total = Counter(entry.protocol.name for entry in entries)
    assert total["http"] > 10
    for protocol in ("http", "dns"):
        counted = [
            value
            for key, value in samples.items()
            if key[0] == "kubeshark_entries_total" and ("protocol", protocol) in key
        ]
        assert sum(counted) == total[protocol]
        took = [entry.get("elapsed_time") for entry in entries if entry.protocol.name == protocol]
        times = [time for time in took if isinstance(time, int) and time > 0]
        assert samples["kubeshark_elapsed_seconds_count", ("protocol", protocol)] == len(times)
        le = ("le", "0.005")
        assert samples["kubeshark_elapsed_seconds_bucket", le, ("protocol", protocol)] == sum(t <= 5000 for t in times)
    assert ("kubeshark_entries_total", ("protocol", "http"), ("status", "2xx")) in samples
    assert [path.name for path in tmp_path.iterdir()] == ["kubeshark.prom"]


def test_a_file_that_nobody_would_read(exporter: Any) -> None:
    with Plugins(local=[("exporter", exporter)], settings={"exporter": {"file": "/tmp/x.txt"}}) as plugins:
        (problem,) = plugins.take_problems()
    assert "does not end with .prom" in str(problem)
