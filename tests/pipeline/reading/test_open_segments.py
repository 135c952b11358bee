"""Segments that are not sealed are queried like others: the same entries, ids, columns, packets and numbers."""

from __future__ import annotations

import io
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.core_capture.store import Identity
from kubeshark.pipeline import Pipeline, Plugins
from tests.pipeline._live import LiveCapture, packets_of


class Captures(dict[str, dict[int, list[bytes]]]):
    """Records by link type, by file."""

    def __repr__(self) -> str:  # a failing example prints it
        return f"<{len(self)} captures>"


@pytest.fixture(scope="module")
def captures(root: Path) -> Captures:
    """Every capture among the examples, those of plugins' tests too."""
    files = [*(root / "examples" / "captures").glob("*.pcap*"), *(root / "examples" / "plugins").rglob("*.pcap*")]
    found = Captures({str(file): packets_of(file) for file in sorted(files)})
    assert len(found) > 3
    return found


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins()


def opened(path: Path, me: Identity, plugins: Plugins) -> Pipeline:
    return Pipeline.open(path, identities=[me], plugins=plugins, create=False)


def lines(pipeline: Pipeline, kfl: str = "") -> list[dict[str, object]]:
    return list(pipeline.rows(kfl))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    which=st.integers(0, 10_000),
    shares=st.lists(st.integers(1, 1_000), max_size=6, unique=True).map(sorted),
    seal=st.integers(0, 5),  # a segment before the open one
)
def test_an_open_segment_answers_as_it_does_when_it_is_sealed(
    which: int,
    shares: list[int],
    seal: int,
    captures: Captures,
    plugins: Plugins,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    me = Identity.generate()
    file = sorted(captures)[which % len(captures)]
    for link_type, records in captures[file].items():
        bounds = sorted({*(max(1, share * len(records) // 1_000) for share in shares), len(records)})
        sealed_at = bounds[seal % len(bounds)]
        live = LiveCapture(tmp_path_factory.mktemp("live"), me, link_type)
        at = 0
        with opened(live.path, me, plugins) as pipeline:
            for bound in bounds:
                live.add(records[at:bound])
                at = bound
                if bound == sealed_at and bound < len(records):
                    live.seal()
            before = lines(pipeline), lines(pipeline, "http || dns"), list(pipeline.rows("", order="desc", limit=20))
            told = pipeline.info()
            packets = io.BytesIO()
            pipeline.export("", packets, format="pcapng")
            assert (told["open"], told["packets"]) == (1, len(records))
            live.seal()
            after = lines(pipeline), lines(pipeline, "http || dns"), list(pipeline.rows("", order="desc", limit=20))
            sealed = pipeline.info()
            again = io.BytesIO()
            pipeline.export("", again, format="pcapng")
        assert before == after
        assert (sealed["open"], sealed["packets"], sealed["flows"]) == (0, told["packets"], told["flows"])
        assert packets.getvalue() == again.getvalue()


def test_one_entry_of_an_open_segment_is_shown(captures: Captures, plugins: Plugins, tmp_path: Path) -> None:
    me = Identity.generate()
    (records,) = (found[1] for file, found in captures.items() if file.endswith("sample.pcapng"))
    live = LiveCapture(tmp_path, me)
    live.add(records)
    with opened(tmp_path, me, plugins) as pipeline:
        ids = [row["id"] for row in lines(pipeline, "http")]
        assert ids
        shown = [pipeline.entry(str(each)) for each in ids[:5]]
        live.seal()
        sealed = [pipeline.entry(str(each)) for each in ids[:5]]
    documents = [[entry.to_dict() for entry in found if entry] for found in (shown, sealed)]
    assert documents[0] == documents[1]
    assert [document["id"] for document in documents[0]] == ids[:5]


def test_a_segment_sealed_while_one_queries_is_seen_once(captures: Captures, plugins: Plugins, tmp_path: Path) -> None:
    me = Identity.generate()
    (records,) = (found[1] for file, found in captures.items() if file.endswith("sample.pcapng"))
    live = LiveCapture(tmp_path, me)
    seen: list[list[str]] = []
    step = 40
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for at in range(0, len(records), step):
                live.add(records[at : at + step])
                if at // step % 3 == 2:
                    live.seal()
        except BaseException as error:
            failures.append(error)
            raise

    writer = threading.Thread(target=write)
    with opened(tmp_path, me, plugins) as pipeline:
        writer.start()
        while writer.is_alive():
            query = pipeline.query("dns")
            seen.append([entry.id for entry in query])
            assert not query.problems
        writer.join()
        final = [entry.id for entry in pipeline.query("dns")]
    assert not failures
    for ids in [*seen, final]:
        assert len(ids) == len(set(ids))
        assert set(ids) <= set(final)  # and what was seen once stays
    for earlier, later in pairwise(seen):
        assert set(earlier) <= set(later)


def test_other_processes_read_open_segments_too(captures: Captures, tmp_path: Path) -> None:
    me = Identity.generate()
    (records,) = (found[1] for file, found in captures.items() if file.endswith("sample.pcapng"))
    live = LiveCapture(tmp_path, me)
    live.add(records[:700])
    live.seal()
    live.add(records[700:])
    with Pipeline.open(tmp_path, identities=[me], create=False) as pipeline:
        here = list(pipeline.rows("", fields=["protocol"], jobs=1))
        query = pipeline.rows("", fields=["protocol"], jobs=2)
        assert list(query) == here
        assert query.problems == []
        assert any("processes" in line for line in query.explain())
