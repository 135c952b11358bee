"""Every hook through the sandbox, in every language: the same plugin written four times gives the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from kubeshark.errors import PluginCrashed, PluginError
from kubeshark.extension_api import Enrichment, FilterSpec, Packet, PacketVerdict, Redaction, SealedSegment
from kubeshark.extension_api._manifest import Manifest, read_manifest
from kubeshark.extension_api._settings import check_settings
from kubeshark.hosts import ForeignPlugin, PluginState, Supervision

HOOKS = Path(__file__).parent / "hooks"
LANGUAGES = ("js", "c", "cpp", "go")
SEGMENT = SealedSegment("s-1", "/store/s-1.pcap.zst.age", 1, 2, 3, 4, 5, 6, 1, "shop.pcap")


@dataclass
class View:
    """An entry as an enricher reads it."""

    variables: dict[str, Any]
    id: str = "s-1-0-0"
    protocol: Any = None
    content: dict[str, Any] = field(default_factory=lambda: {"protocol": {}})

    def get(self, variable: str) -> Any:
        return self.variables.get(variable, 0 if variable == "status_code" else "")

    def document(self) -> dict[str, Any]:
        return self.content


def view(method: str, url: str = "/a", **more: Any) -> Any:
    return View({"method": method, "url": url, **more})


@pytest.fixture(scope="session", params=LANGUAGES)
def built(request: pytest.FixtureRequest) -> tuple[Path, Manifest]:
    language = request.param
    source = HOOKS / language
    if language == "js":
        return source, read_manifest(source)
    build: Callable[[Path], tuple[Path, Manifest]] = request.getfixturevalue(
        f"compile_{'go' if language == 'go' else 'c'}"
    )
    return build(source)


@pytest.fixture
def start(built: tuple[Path, Manifest]) -> Iterator[Callable[..., ForeignPlugin]]:
    running: list[ForeignPlugin] = []

    def begin(supervision: Supervision | None = None, **settings: Any) -> ForeignPlugin:
        folder, manifest = built
        values = list(check_settings(manifest.setting_specs, settings).values())
        running.append(ForeignPlugin(folder, manifest, supervision or Supervision(backoff_s=0.0), settings=values))
        return running[-1]

    yield begin
    for plugin in running:
        plugin.close()


def test_the_life_of_a_process(start: Callable[..., ForeignPlugin]) -> None:
    plugin = start(word="caf\N{LATIN SMALL LETTER E WITH ACUTE}")
    assert plugin.take_log() == []
    plugin.process.start()
    assert plugin.take_log() == ["word caf\N{LATIN SMALL LETTER E WITH ACUTE}, limit 3", "started"]
    plugin.job("idle", 0)
    assert plugin.take_log() == []
    assert not plugin.is_out
    plugin.close()
    plugin.close()
    assert plugin.take_log() == ["stopped"]
    assert plugin.status.state is PluginState.STOPPED


def test_a_new_process_is_configured_again(start: Callable[..., ForeignPlugin]) -> None:
    plugin = start()
    plugin.enrich([view("LOOP")])
    assert plugin.status.crashes == 1
    plugin.job("tick", 1)
    assert plugin.take_log() == ["word secret, limit 3", "started"] * 2 + ["tick 1"]


def test_refused_settings_keep_it_from_running(start: Callable[..., ForeignPlugin]) -> None:
    plugin = start(word="refuse")
    with pytest.raises(PluginCrashed, match="refuses its settings: that word is taken"):
        plugin.process.start()
    assert plugin.status.state is PluginState.QUARANTINED
    assert plugin.is_out
    (answer,) = plugin.enrich([view("GET")])
    assert answer is not None
    assert "that word is taken" in answer.failure


def test_enrich(start: Callable[..., ForeignPlugin]) -> None:
    plugin = start(word='a"b', loud=True)
    text = "/caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    deleted, seen, hidden = plugin.enrich([view("DELETE"), view("GET", text), view("POST", "/", request_body="unseen")])
    assert deleted == Enrichment(drop=True)
    assert seen is not None
    assert seen.tags == ("seen",)
    assert {**seen.variables, "witness_length": 5} == {"witness_length": 5, "witness_word": 'a"b', "witness_seen": True}
    assert seen.redactions == (
        Redaction('request.headers["authorization"]'),
        Redaction("request.postData.text.user.password", value="[gone]"),
        Redaction(text='a"b'),
    )
    assert hidden is not None
    assert hidden.variables["witness_seen"] is False
    assert plugin.enriches().reads == ("method", "url", "request_body", "document")


def test_a_failing_entry_costs_no_other(start: Callable[..., ForeignPlugin]) -> None:
    answers = start().enrich([view("GET"), view("LOOP"), view("GET")] + [view("GET")] * 300)
    failures = [at for at, answer in enumerate(answers) if answer is None or answer.failure]
    assert failures == [1]
    assert answers[1] is not None
    assert "too" in answers[1].failure or "longer" in answers[1].failure


def test_an_entry_that_fits_no_frame_is_a_failure(start: Callable[..., ForeignPlugin]) -> None:
    large, small = start().enrich([view("GET", request_body="x" * (5 << 20)), view("GET")])
    assert large == Enrichment(failure="is too large for the plugin")
    assert small is not None
    assert small.failure == ""


def test_packets(start: Callable[..., ForeignPlugin]) -> None:
    keep, drop, mark = PacketVerdict.KEEP, PacketVerdict.DROP, PacketVerdict.MARK
    heads = [b"\x00", b"\xdd1", b"\xaa", b""]
    packets = [Packet(head, 5, 60, 1) for head in heads]
    plugin = start()
    plugin.process.start()
    assert plugin.packet_filter([*packets, Packet(b"\x00", 5, 60, 113)]) == [keep, drop, mark, keep, drop]
    assert plugin.packet_filter(packets * 500) == [keep, drop, mark, keep] * 500


def test_segments(start: Callable[..., ForeignPlugin]) -> None:
    plugin = start()
    plugin.segment_sealed(SEGMENT)
    assert plugin.take_log()[-1] == "sealed s-1 of shop.pcap: 3 packets, 6 bytes"
    with pytest.raises(PluginError, match="segment_sealed: bad luck"):
        plugin.segment_sealed(replace(SEGMENT, packets=13))


def test_jobs(start: Callable[..., ForeignPlugin]) -> None:
    plugin = start()
    assert [(spec.name, spec.cron) for spec in plugin.jobs()] == [("idle", "0 0 0 1 1 *"), ("tick", "* * * * * *")]
    plugin.job("tick", 1_700_000_000_000_000_000)
    assert plugin.take_log()[-1] == "tick 1700000000000000000"
    with pytest.raises(PluginError, match="job: not today"):
        plugin.job("tick", 13)


def test_filter_and_summarize(start: Callable[..., ForeignPlugin]) -> None:
    plugin = start()
    spec = FilterSpec("witness_is", ("string",), ("method",))
    assert plugin.filter(spec, ["GET"], [view("GET"), view("PUT")]) == [True, False]
    assert plugin.summarize(view("GET", '/"a"\n', status_code=404)) == {
        "method": "GET",
        "methodQuery": 'method == "GET"',
        "summary": '/"a"\n',
        "summaryQuery": plugin.summarize(view("GET", '/"a"\n'))["summaryQuery"],  # type: ignore[index]
        "status": 404,
        "statusQuery": "status_code == 404",
    }
    assert plugin.summarize(view("")) is None
