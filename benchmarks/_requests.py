"""What queries of a store on S3 ask of the server: the table of docs/object-storage.md.

    python -m benchmarks._requests s3://BUCKET/PREFIX [--size MB]

Imports the shop's capture, replayed, to that URL and asks each class of selections and queries anew, as a command of
its own would. Set AWS_ENDPOINT_URL and the credentials; nothing is deleted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
from pathlib import Path

from benchmarks._store import classes
from benchmarks._workload import make_capture
from kubeshark import Pipeline
from kubeshark.core_capture.store import Requests, Store
from kubeshark.pipeline import Plugins

SHOP = Path(__file__).resolve().parents[1] / "examples" / "captures" / "shop.pcapng.zst"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks._requests", description="Count requests to S3.")
    parser.add_argument("url", help="where the store is made: s3://BUCKET/PREFIX")
    parser.add_argument("--size", type=int, default=100, metavar="MB", help="of the capture (default: 100)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kubeshark-requests-") as folder, Plugins() as plugins:
        os.environ["KUBESHARK_IDENTITY"] = str(Path(folder) / "identity" / "identity.age")
        capture = Path(folder) / "capture.pcap"
        packets = make_capture(SHOP, capture, options.size * 1_000_000)
        with Pipeline.open(options.url, plugins=plugins) as pipeline:
            pipeline.import_file(capture)
            asked = pipeline.store.files.requests
        store = Store.open(options.url)
        print(f"{capture.stat().st_size:,} bytes, {packets:,} packets in {len(store.segments())} segments of")
        print(f"{store.info().disk_bytes:,} bytes in all\n")
        print("| what | lists | reads | writes | bytes read | bytes written | packets |")
        print("|---|---|---|---|---|---|---|")
        print(row("import", asked, packets))
        for selection in classes(options.url):
            with Pipeline.open(options.url, create=False, plugins=plugins) as pipeline:
                done = pipeline.export(selection.kfl, io.BytesIO())
                print(row(f"export, {selection.case}", pipeline.store.files.requests, done.packets))
        for name, kfl, limit in (("query, dst.port == 53", "dst.port == 53", None), ("query, dns", "dns", None)):
            with Pipeline.open(options.url, create=False, plugins=plugins) as pipeline:
                list(pipeline.query(kfl, limit=limit))
                print(row(name, pipeline.store.files.requests, None))
        with Pipeline.open(options.url, create=False, plugins=plugins) as pipeline:
            done = pipeline.export("", io.BytesIO())
            print(row("export, everything", pipeline.store.files.requests, done.packets))
        for name in ("store info", "store verify"):
            store = Store.open(options.url)
            _ = (store.info(), store.overview()) if name == "store info" else store.verify()
            print(row(name, store.files.requests, None))
    return 0


def row(name: str, asked: Requests | None, packets: int | None) -> str:
    assert asked is not None, "this is no store on object storage"
    counts = f"{asked.lists} | {asked.reads} | {asked.writes} | {asked.bytes_read:,} | {asked.bytes_written:,}"
    return f"| {name} | {counts} | {'' if packets is None else f'{packets:,}'} |"


if __name__ == "__main__":
    sys.exit(main())
