"""What a query of an archive costs: the constants of docs/scale.md.

    python -m benchmarks._scale s3://BUCKET/PREFIX [--segments N] [--nodes K] [--large] [--output FILE]

Makes an archive of N small segments of K nodes (or with --large four of 64 MiB, of the shop's capture replayed), and
asks each class of queries anew, as a command of its own would. Figures are of CPU and of requests: they depend little
on how busy the machine is, and not on how far the server. Set AWS_ENDPOINT_URL and the credentials; nothing is deleted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks._workload import make_capture
from kubeshark import Pipeline
from kubeshark.core_capture import RecordBatch
from kubeshark.core_capture.store import (
    NodeKey,
    SourceInfo,
    Store,
    Uploader,
    archive_url,
    create_identity,
    load_identities,
    open_store,
)
from kubeshark.pipeline import Plugins
from tests.pipeline._traffic import RAW, Capture, Connection, dns

SHOP = Path(__file__).resolve().parents[1] / "examples" / "captures" / "shop.pcapng.zst"
LARGE_MB = 260
GAP_NS = 10_000_000_000
SERVER = "10.9.9.9"
CLASSES = (
    ("one address", "src.ip == '10.0.0.77'"),
    ("a port that few have", "dst.port == 53"),
    ("HTTP errors", "http && status_code >= 500"),
    ("everything", ""),
)


@dataclass(frozen=True)
class Cost:
    """Of one query of the whole archive."""

    case: str
    entries: int
    opened: int  # segments whose index was read
    lists: int
    reads: int
    bytes_read: int
    cpu_s: float
    first_row_cpu_s: float  # until the first entry, or the end


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks._scale", description="Measure queries of an archive.")
    parser.add_argument("url", help="where the archive is made: s3://BUCKET/PREFIX")
    parser.add_argument("--segments", type=int, default=1000, metavar="N")
    parser.add_argument("--nodes", type=int, default=4, metavar="K")
    parser.add_argument("--large", action="store_true", help="four segments as captures make them")
    parser.add_argument("--output", metavar="FILE", help="the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kubeshark-scale-") as name:
        folder = Path(name)
        os.environ["KUBESHARK_IDENTITY"] = str(folder / "keys" / "identity.age")
        create_identity()
        if options.large:
            make_large(options.url, folder)
        else:
            make_small(options.url, folder, options.segments, options.nodes)
        report = measure(options.url)
    if options.output:
        Path(options.output).write_text(json.dumps(report, indent=2) + "\n")
    show(report)
    return 0


def make_small(url: str, folder: Path, segments: int, nodes: int) -> None:
    """Make an archive of segments with two connections and a DNS exchange each; few hold the address looked for."""
    recipients = [identity.recipient for identity in load_identities()]
    key = NodeKey.load_or_create()
    for node in range(nodes):
        path = folder / f"node-{node}"
        store = Store.open(path, create=True)
        share = segments // nodes + (node < segments % nodes)
        given = [small(number * nodes + node) for number in range(share)]
        most = max(sum(map(len, records)) for records in given)  # each more than half of it: a segment each
        with store.writer(
            recipients, source=SourceInfo(f"node-{node}"), node=f"node-{node}", segment_bytes=most
        ) as out:
            first = 0
            for records in given:
                out.add(RecordBatch(RAW, b"".join(records), range(first, first + len(records))))
                first += len(records)
            out.finish()
        Uploader(path, archive_url(url, f"node-{node}"), key=key).run_once()


def small(number: int) -> list[bytes]:
    """Return the records of one segment, some seconds after those of the one before."""
    capture = Capture(now_ns=1_700_000_000_000_000_000 + number * GAP_NS)
    client = "10.0.0.77" if number % 250 == 100 else f"10.0.{number % 200 + 1}.{number % 99 + 1}"
    for port in (40_000, 40_001):
        connection = Connection(capture, client_port=port + number % 1000, ends=(client, SERVER)).open()
        connection.ask(f"GET /{number} HTTP/1.1\r\nHost: shop\r\n\r\n".encode())
        connection.answer()
    if number % 100 == 50:
        capture.add(dns(number, client_port=33_000))
    return capture.records


def make_large(url: str, folder: Path) -> None:
    capture = folder / "capture.pcap"
    make_capture(SHOP, capture, LARGE_MB * 1_000_000)
    with Pipeline.open(folder / "store") as pipeline:
        pipeline.import_file(capture)
    Uploader(folder / "store", archive_url(url, "node-0")).run_once()


def measure(url: str) -> dict[str, Any]:
    """Return the figures, each of an archive that nobody knows yet."""
    with Plugins() as plugins:
        without = [ask(url, case, kfl, plugins) for case, kfl in CLASSES[:1]]
        began = time.process_time()
        store = open_store(url)
        count = store.write_catalogue()
        catalogue_cpu_s = time.process_time() - began
        sizes = [each.store.files.size("catalogue.age") for each in store.archived]  # type: ignore[attr-defined]
        info = store.info()
        return {
            "segments": count,
            "nodes": len(sizes),
            "bytes": info.disk_bytes,
            "packets": info.packets,
            "catalogue_bytes": sum(sizes),
            "catalogue_cpu_s": round(catalogue_cpu_s, 3),
            "without_catalogue": [asdict(each) for each in without],
            "with_catalogue": [asdict(ask(url, case, kfl, plugins)) for case, kfl in CLASSES],
        }


def ask(url: str, case: str, kfl: str, plugins: Plugins) -> Cost:
    """Query as a command would: columns of the entries, in this process."""
    with Pipeline.open(url, create=False, plugins=plugins) as pipeline:
        began, first, entries = time.process_time(), 0.0, 0
        query = pipeline.query(kfl)
        for run in query.batches(["timestamp"]):
            first = first or time.process_time() - began
            entries += len(run["timestamp"])
        spent = time.process_time() - began
        asked = pipeline.store.requests
        assert asked is not None
        assert not query.problems, query.problems
        opened = query._query.stats.segments
        return Cost(
            case, entries, opened, asked.lists, asked.reads, asked.bytes_read, round(spent, 3), round(first or spent, 3)
        )


def show(report: dict[str, Any]) -> None:
    per = report["catalogue_bytes"] / max(report["segments"], 1)
    print(f"{report['segments']:,} segments of {report['nodes']} nodes, {report['bytes']:,} bytes")
    print(f"catalogue: {per:,.0f} bytes a segment, written in {report['catalogue_cpu_s']} s of CPU\n")
    print("| query | segments opened | lists | reads | bytes read | CPU s | CPU s to the first row | entries |")
    print("|---|---|---|---|---|---|---|---|")
    rows: Sequence[dict[str, Any]] = [
        *({**each, "case": f"{each['case']}, no catalogue"} for each in report["without_catalogue"]),
        *report["with_catalogue"],
    ]
    for each in rows:
        columns = (each["case"], each["opened"], each["lists"], each["reads"], each["bytes_read"], each["cpu_s"])
        print("| " + " | ".join(f"{c:,}" if isinstance(c, int) else str(c) for c in columns), end="")
        print(f" | {each['first_row_cpu_s']} | {each['entries']:,} |")


if __name__ == "__main__":
    sys.exit(main())
