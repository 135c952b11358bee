"""Claims by port and content with many protocols; what a claim says of streams is in test_dissect.py."""

from __future__ import annotations

from types import SimpleNamespace

from kubeshark.extension_api import Classifier, Verdict
from kubeshark.pipeline._claim import Claims, has_payload
from tests.pipeline._plugins import Lines, ProbedLines, with_plugins
from tests.pipeline.dissectors._streams import tcp, udp


def claimed(*lines: Lines, port: int, forced: str = "") -> list[str]:
    stream = tcp(b"hello\n", b"yes\n", port=port)
    with with_plugins(**{f"p{at}": plugin for at, plugin in enumerate(lines)}) as plugins:
        (binding,) = Claims(plugins.bindings, []).claim([SimpleNamespace(stream=stream, forced=forced, outer=())])
    return [binding.protocol.name] if binding else []


def test_a_refused_port_goes_to_the_next_protocol() -> None:
    refuses = ProbedLines(Verdict.NOT_MINE, Classifier("tcp", (7000,)), name="refuses", priority=1)
    takes = Lines(Classifier("tcp", (7000,)), name="takes", priority=2)
    assert claimed(refuses, takes, port=7000) == ["takes"]


def test_nobody_is_asked_twice() -> None:
    refuses = ProbedLines(Verdict.NOT_MINE, Classifier("tcp", (7000,)), name="refuses", priority=1)
    assert claimed(refuses, port=7000) == []
    assert len(refuses.probed) == 1


def test_a_forced_protocol_is_not_asked() -> None:
    refuses = ProbedLines(Verdict.NOT_MINE, name="refuses", priority=1)
    assert claimed(refuses, port=1, forced="refuses") == ["refuses"]
    assert refuses.probed == []


def test_a_forced_protocol_that_is_unknown_leaves_the_stream_alone() -> None:
    assert claimed(ProbedLines(Verdict.MINE, name="takes", priority=1), port=1, forced="unknown") == []


def test_payload() -> None:
    assert has_payload(tcp(b"", b"x"))  # type: ignore[arg-type]
    assert not has_payload(tcp())  # type: ignore[arg-type]
    assert has_payload(udp((0, b"")))  # type: ignore[arg-type]
