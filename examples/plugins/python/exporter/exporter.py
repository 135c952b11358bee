"""Counts entries by protocol, status and time taken, and writes them once a minute where Prometheus finds them.

A file in the textfile format of Prometheus' node_exporter; it is replaced at once, so that nobody reads half of it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubeshark.extension_api import Enrichment, EnrichSpec, EntryView, JobSpec, SettingSpec, hookimpl

BUCKETS_US = (1_000, 5_000, 25_000, 100_000, 500_000, 2_500_000)
options: dict[str, Any] = {}
_lock = threading.Lock()  # a job runs beside the queries
_entries: Counter[tuple[str, str]] = Counter()  # (protocol, class of its status)
_buckets: Counter[tuple[str, int]] = Counter()  # (protocol, most microseconds)
_sums: Counter[str] = Counter()
_counts: Counter[str] = Counter()


@hookimpl
def settings() -> Sequence[SettingSpec]:
    return (SettingSpec("file", required=True, description="where to: /var/lib/node_exporter/kubeshark.prom"),)


@hookimpl
def configure(values: dict[str, Any]) -> None:
    if not values["file"].endswith(".prom"):
        raise ValueError(f"{values['file']} does not end with .prom: node_exporter would not read it")
    options.clear()
    options.update(values)


@hookimpl
def jobs() -> Sequence[JobSpec]:
    return (JobSpec("export", "0 * * * * *"),)


@hookimpl
def enriches() -> EnrichSpec:
    # Last of all, and only looking: an entry is shown whatever becomes of the count.
    return EnrichSpec(reads=("status_code", "elapsed_time"), priority=1000, on_failure="keep")


@hookimpl
def enrich(entries: Sequence[EntryView]) -> Sequence[Enrichment | None]:
    with _lock:
        for entry in entries:
            protocol, status, took = entry.protocol.name, entry.get("status_code"), entry.get("elapsed_time")
            _entries[protocol, f"{status // 100}xx" if isinstance(status, int) and status >= 100 else ""] += 1
            if isinstance(took, int) and took > 0:
                _counts[protocol] += 1
                _sums[protocol] += took
                for bucket in BUCKETS_US:
                    _buckets[protocol, bucket] += took <= bucket
    return [None] * len(entries)


@hookimpl
def job(job: str, due_ns: int) -> None:
    del job, due_ns  # there is one job, and it tells what is counted now
    path = Path(options["file"])
    partial = path.with_suffix(".tmp")
    partial.write_text(metrics(), encoding="utf-8")
    partial.replace(path)


def metrics() -> str:
    """Return the text: counters since this process began, in the Prometheus text format 0.0.4."""
    with _lock:
        lines = ["# TYPE kubeshark_entries_total counter"]
        for (protocol, status), count in sorted(_entries.items()):
            lines.append(f'kubeshark_entries_total{{protocol="{protocol}",status="{status}"}} {count}')
        lines.append("# TYPE kubeshark_elapsed_seconds histogram")
        for protocol in sorted(_counts):
            for bucket in BUCKETS_US:
                label = f'protocol="{protocol}",le="{bucket / 1e6:g}"'
                lines.append(f"kubeshark_elapsed_seconds_bucket{{{label}}} {_buckets[protocol, bucket]}")
            lines.append(f'kubeshark_elapsed_seconds_bucket{{protocol="{protocol}",le="+Inf"}} {_counts[protocol]}')
            lines.append(f'kubeshark_elapsed_seconds_sum{{protocol="{protocol}"}} {_sums[protocol] / 1e6:g}')
            lines.append(f'kubeshark_elapsed_seconds_count{{protocol="{protocol}"}} {_counts[protocol]}')
    return "\n".join(lines) + "\n"
