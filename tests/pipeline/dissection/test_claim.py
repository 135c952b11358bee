"""Claims by port and content with many protocols; what a claim says of streams is in test_dissect.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kubeshark.core_capture import load_core
from kubeshark.extension_api import Classifier, Verdict
from kubeshark.pipeline import Plugins
from kubeshark.pipeline._budget import Stop
from kubeshark.pipeline.dissection._claim import Claims, has_payload
from kubeshark.pipeline.dissection._dissect import Dissector
from kubeshark.pipeline.entries._facts import Origin
from tests.pipeline._plugins import Lines, ProbedLines, with_plugins
from tests.pipeline.dissectors._streams import tcp, udp


def claimed(*lines: Lines, port: int, forced: str = "") -> list[str]:
    stream = tcp(b"hello\n", b"yes\n", port=port)
    with with_plugins(**{f"p{at}": plugin for at, plugin in enumerate(lines)}) as plugins:
        (binding,) = Claims(plugins.protocols.all, []).claim([SimpleNamespace(stream=stream, forced=forced, outer=())])
    return [binding.protocol.name] if binding else []


def test_a_refused_port_goes_to_the_next_protocol() -> None:
    refuses = ProbedLines(Verdict.NOT_MINE, Classifier("tcp", (7000,)), name="refuses", priority=1)
    takes = Lines(Classifier("tcp", (7000,)), name="takes", priority=2)
    assert claimed(refuses, takes, port=7000) == ["takes"]


def test_nobody_is_asked_twice() -> None:
    refuses = ProbedLines(Verdict.NOT_MINE, Classifier("tcp", (7000,)), name="refuses", priority=1)
    assert claimed(refuses, port=7000) == []
    assert len(refuses.probed) == 1


def test_a_probe_is_asked_on_each_transport_that_is_named() -> None:
    both = ProbedLines(Verdict.MINE, name="both", priority=0, layer4="tcp", transports=("tcp", "udp"))
    first = ProbedLines(Verdict.MINE, name="first", priority=1, layer4="tcp")
    streams = [tcp(b"hello\n"), udp((0, b"hello"))]
    for plugin, expected in ((both, ["both", "both"]), (first, ["first", ""])):
        with with_plugins(plugin=plugin) as plugins:
            claims = Claims([each for each in plugins.protocols.all if each.plugin == "plugin@1.0.0"], []).claim(
                [SimpleNamespace(stream=stream, forced="", outer=()) for stream in streams]
            )
        assert [claim.protocol.name if claim else "" for claim in claims] == expected


def test_a_forced_protocol_is_not_asked() -> None:
    refuses = ProbedLines(Verdict.NOT_MINE, name="refuses", priority=1)
    assert claimed(refuses, port=1, forced="refuses") == ["refuses"]
    assert refuses.probed == []


def test_a_forced_protocol_that_is_unknown_leaves_the_stream_alone() -> None:
    assert claimed(ProbedLines(Verdict.MINE, name="takes", priority=1), port=1, forced="unknown") == []


def test_what_stops_a_chunk_stops_its_claims() -> None:
    def stop() -> None:
        raise Stop

    dissector = Dissector(load_core(), Plugins(), [], Origin())
    dissector.go_on = stop  # set for each chunk, behind the tables of claims
    with pytest.raises(Stop):
        next(iter(dissector.layers([tcp(b"hello\n", b"yes\n")], None)))  # type: ignore[list-item]


def test_payload() -> None:
    assert has_payload(tcp(b"", b"x"))  # type: ignore[arg-type]
    assert not has_payload(tcp())  # type: ignore[arg-type]
    assert has_payload(udp((0, b"")))  # type: ignore[arg-type]
