"""Connections found by name: ids of entries, and streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeshark import Pipeline
from kubeshark.pipeline import Plugins
from tests.pipeline._traffic import Capture, Connection, dns

SERVICES = 3  # connections of the capture below, each with one exchange


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    capture = Capture()
    for number in range(SERVICES):
        Connection(capture, client_port=40_000 + number).open().ask().answer()
        capture.add(dns(number, client_port=33_000 + number))
    file = tmp_path / "services.pcap"
    file.write_bytes(capture.pcap())
    with Pipeline.open(tmp_path / "store", plugins=Plugins()) as opened:
        opened.import_file(file)
        yield opened


@pytest.mark.parametrize(
    "form", ['id == "{0}"', '"{0}" == id', 'http && id == "{0}"', 'id in ["{0}", "{1}", "nonsense"]']
)
def test_who_asks_for_an_id_reads_its_connection_alone(pipeline: Pipeline, form: str) -> None:
    everything = {entry.id: entry.to_dict() for entry in pipeline.query("http")}
    first, second, *_ = everything
    found = pipeline.query(form.format(first, second))
    assert [entry.to_dict() for entry in found] == [
        everything[each] for each in (first, second) if each in form.format(first, second)
    ]
    text = "\n".join(found.explain())
    assert f"{2 if 'in' in form else 1} selected of {2 * SERVICES}" in text
    assert "their connections alone" in text


@pytest.mark.parametrize("form", ['stream == "{0}"', '"{0}" == stream && http', 'http && stream in ["{0}", "{1}", ""]'])
def test_who_asks_for_a_stream_reads_its_connection_alone(pipeline: Pipeline, form: str) -> None:
    by_stream: dict[str, list[str]] = {}
    for entry in pipeline.query("http" if "http" in form else ""):
        by_stream.setdefault(entry.facts.stream, []).append(entry.id)
    first, second, *_ = (stream for stream, ids in by_stream.items() if ids)
    asked = [stream for stream in (first, second) if stream in form.format(first, second)]
    found = pipeline.query(form.format(first, second))
    assert sorted(entry.id for entry in found) == sorted(each for stream in asked for each in by_stream[stream])
    text = "\n".join(found.explain())
    assert f"{len(asked)} selected of {2 * SERVICES}" in text
    assert "by stream" in text
    assert list(pipeline.query('stream == "0000000000000000"')) == []


@pytest.mark.parametrize(
    "kfl", ['id == "nonsense"', 'id == "no-such-segment-0-0"', "id in []", 'id == "01ARZ-9999999999-0"']
)
def test_ids_that_are_not_here_read_nothing(pipeline: Pipeline, kfl: str) -> None:
    found = pipeline.query(kfl)
    assert list(found) == []
    assert "0 read of 0 opened" in "\n".join(found.explain())


@pytest.mark.parametrize("kfl", ['id != "{0}"', '!(id == "{0}")', 'id == "{0}" || dns', 'id.startsWith("{0}")'])
def test_other_ids_are_not_lost(pipeline: Pipeline, kfl: str) -> None:
    everything = [entry.id for entry in pipeline.query("")]
    http = next(iter(pipeline.query("http"))).id
    found = [entry.id for entry in pipeline.query(kfl.format(http))]
    assert set(found) <= set(everything)
    assert len(found) >= (len(everything) - 1 if "!" in kfl else 1)
