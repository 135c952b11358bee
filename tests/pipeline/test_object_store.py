"""A store on S3 answers as one on disk does: the same entries under the same ids, the same packets."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from kubeshark import Pipeline
from kubeshark.core_capture.store.segments._segment import pcap_header
from kubeshark.pipeline import Plugins
from tests.conftest import captures_folder
from tests.core_capture.store._servers import Server
from tests.pipeline._stores import mixed
from tests.pipeline._traffic import RAW

QUERIES = [
    "",
    "http",
    "dns",
    "conn",
    "flow",
    "http && status_code >= 400",
    "dst.port == 80",
    'src.ip.inCidr("10.0.0.0/8")',
    "redis || postgresql",
]
THIRD_PARTY = [
    "PcapPlusPlus__ExamplesTest__pcap_examples__many-protocols.pcap",
    "PcapPlusPlus__ExamplesTest__pcap_examples__ipv6.pcapng",
    "PcapPlusPlus__ExamplesTest__pcap_examples__tls2.pcap",
    "PcapFlowLab__linux_cooked__03_sll_arp.pcap",
]


@pytest.fixture(scope="module")
def plugins() -> Iterator[Plugins]:
    made = Plugins()
    yield made
    made.close()


@pytest.fixture
def both(tmp_path: Path, url: str, server: Server, root: Path, plugins: Plugins) -> list[Pipeline]:
    """The same captures in a folder and in a bucket."""
    files = [root / "examples" / "captures" / "sample.pcapng"]
    folder = captures_folder()
    if folder is not None:
        files += [folder / "files" / name for name in THIRD_PARTY]
    opened = [Pipeline.open(place, plugins=plugins) for place in (tmp_path / "store", url)]
    for pipeline in opened:
        done = [pipeline.import_file(file) for file in files]
        assert all(result.packets for result in done)
        again = pipeline.import_file(files[0])
        assert (again.already_there, again.packets) == (True, 0)
    return opened


def test_the_same_from_s3_as_from_disk(both: list[Pipeline]) -> None:
    disk, remote = both
    for kfl in QUERIES:
        found = [[entry.to_dict() for entry in pipeline.query(kfl)] for pipeline in both]
        assert found[0] == found[1], kfl
        assert found[0], kfl
    windows = [{}, {"since_ns": disk.store.segments()[0].first_ns + 10**9}]
    for kfl in ("", "http", "dst.port == 443", 'src.ip.inCidr("10.77.0.0/24")'):
        for window in windows:
            out = [io.BytesIO(), io.BytesIO()]
            for pipeline, stream in zip(both, out, strict=True):
                pipeline.export(kfl, stream, format="pcapng", **window)
            assert out[0].getvalue() == out[1].getvalue(), kfl
            assert len(out[0].getvalue()) > 100
    entry = next(iter(remote.query("http")))
    same = remote.entry(str(entry.to_dict()["id"]))
    assert same is not None
    assert same.to_dict() == entry.to_dict()
    infos = [pipeline.info() for pipeline in both]
    for key in ("segments", "packets", "flows", "captured_bytes", "first", "last", "sources", "list"):
        assert infos[0][key] == infos[1][key]


def test_explain_tells_the_requests(both: list[Pipeline]) -> None:
    disk, remote = both
    assert not any(line.startswith("requests") for line in explain(disk, "dns"))
    first = [line for line in explain(remote, "dst.port == 53") if line.startswith("requests")]
    assert len(first) == 1
    assert "lists" in first[0]
    second = [line for line in explain(remote, "dst.port == 53") if line.startswith("requests")]
    assert int(second[0].split()[1]) <= int(first[0].split()[1])


def test_processes_read_from_s3_too(tmp_path: Path, url: str, server: Server) -> None:
    """They open the bucket themselves, give the same lines, and their requests are counted."""
    capture = mixed(12)
    for number, (low, high) in enumerate(pairwise([0, 30, 60, len(capture.records)])):
        part = tmp_path / f"{number}.pcap"
        part.write_bytes(pcap_header(RAW) + b"".join(capture.records[low:high]))
        with Pipeline.open(url) as pipeline:
            pipeline.import_file(part)
    with Pipeline.open(url) as pipeline:
        one, two = (pipeline.rows("", jobs=jobs) for jobs in (1, 2))
        assert list(one) == list(two) != []
        told = "\n".join(two.explain())
        assert two.problems == []
        assert "2 processes" in told
        (asked,) = [int(line.split()[1]) for line in two.explain() if line.startswith("requests")]
        elsewhere = two._query.requests
        assert elsewhere is not None
        assert elsewhere.reads >= 2  # of three segments at least one: an index and packets
        assert asked >= elsewhere.total


def explain(pipeline: Pipeline, kfl: str) -> list[str]:
    query = pipeline.query(kfl)
    list(query)
    return query.explain()


def test_in_memory(root: Path, plugins: Plugins) -> None:
    with Pipeline.open("memory://a-store", plugins=plugins) as pipeline:
        assert pipeline.import_file(root / "examples" / "captures" / "sample.pcapng").packets == 1360
        assert pipeline.verify().is_sound
    with Pipeline.open("memory://a-store", create=False, plugins=plugins) as again:
        assert len(list(again.query("http"))) == 36
