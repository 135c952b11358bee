"""The three hooks that one function for the probe and one for the messages make."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

from kubeshark.extension_api import HOOKS, Message, MessageKind, ProtocolSpec, Stream, Verdict, build_manager
from kubeshark.pipeline.dissectors._hooks import one_protocol
from tests.pipeline.dissectors._streams import FakeStream

SPEC = ProtocolSpec("toy", "toy", "TOY")
MESSAGE = Message(MessageKind.EVENT, 0, 0, 1)


def messages(stream: Stream) -> Iterator[Message]:
    if stream.transport == "tcp":
        yield MESSAGE


def test_a_manager_finds_them_and_each_stream_has_its_answer() -> None:
    hooks = one_protocol(SPEC, lambda stream: stream.transport == "tcp", messages)
    manager = build_manager(HOOKS)
    manager.register(SimpleNamespace(**hooks._asdict()), "toy")
    streams = [FakeStream(), FakeStream("udp"), FakeStream()]
    assert manager.hook.protocols() == [(SPEC,)]
    [verdicts] = manager.hook.probe(protocol=SPEC, streams=streams)
    assert verdicts == [Verdict.MINE, Verdict.NOT_MINE, Verdict.MINE]
    [found] = manager.hook.dissect(protocol=SPEC, streams=streams)
    assert found == [[MESSAGE], [], [MESSAGE]]
    assert manager.hook.probe(protocol=SPEC, streams=[]) == [[]]
