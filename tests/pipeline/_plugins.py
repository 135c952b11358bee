"""Plugins of tests, registered the way foreign ones are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from kubeshark.errors import PluginError
from kubeshark.extension_api import (
    Classifier,
    Handover,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    VariableType,
    Verdict,
    hookimpl,
    rest_of,
)
from kubeshark.pipeline import Plugins

__all__ = ["Envelope", "Foreign", "Lines", "Point", "ProbedLines", "failure", "with_plugins"]


def failure(text: str = "no idea") -> PluginError:
    return PluginError(text, plugin="test@1.0.0")


class Foreign:
    """What the plugins of every language have."""

    def __init__(self) -> None:
        self.problems: list[PluginError] = []
        self.is_closed = False
        self.is_out = False

    def take_problems(self) -> list[PluginError]:
        problems, self.problems = self.problems, []
        return problems

    def close(self) -> None:
        self.is_closed = True


class Lines(Foreign):
    """Lines of text: a request is a line of the client, a response one of the server. Remembers what it was asked."""

    def __init__(
        self,
        *classifiers: Classifier,
        name: str = "lines",
        priority: int = 50,
        layer4: str = "tcp",
        transports: tuple[Literal["tcp", "udp", "sctp"], ...] = (),
        variables: dict[str, VariableType] | None = None,
        fails_on: bytes = b"",
    ) -> None:
        super().__init__()
        self.spec = ProtocolSpec(
            name,
            name.upper(),
            "Lines of text",
            layer4=layer4,
            transports=transports,
            priority=priority,
            classifiers=classifiers,
            variables={"lines_text": "string"} if variables is None else variables,
        )
        self.fails_on = fails_on
        self.calls: list[int] = []

    @hookimpl
    def protocols(self) -> Sequence[ProtocolSpec]:
        return (self.spec,)

    @hookimpl
    def dissect(self, protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message]]:
        self.calls.append(len(streams))
        return [self._messages(stream) for stream in streams]

    def _messages(self, stream: Stream) -> list[Message]:
        messages = []
        for direction, side in enumerate(stream.sides):
            data, at = bytes(side.data), 0
            if self.fails_on and self.fails_on in data:
                raise failure()
            for line in data.splitlines(keepends=True):
                kind = (MessageKind.REQUEST, MessageKind.RESPONSE)[direction]
                fields = {"lines_text": line.decode().rstrip()} if direction == 0 else {}
                messages.append(Message(kind, direction, at, at + len(line), fields=fields))
                at += len(line)
        return messages


class ProbedLines(Lines):
    """Lines known by a probe; its answer is given."""

    def __init__(self, verdict: Verdict | PluginError, *classifiers: Classifier, **options: Any) -> None:
        super().__init__(*classifiers, **options)
        self.verdict = verdict
        self.probed: list[str] = []

    @hookimpl
    def probe(self, protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:
        self.probed += [bytes((stream.sides or stream.datagrams)[0].data).decode() for stream in streams]
        if isinstance(self.verdict, PluginError):
            raise self.verdict
        return [self.verdict] * len(streams)


class Envelope(Lines):
    """Takes one line of each side and hands the rest over to the protocol that the client's line names."""

    def __init__(self, *classifiers: Classifier, **options: Any) -> None:
        super().__init__(*classifiers, **options)
        self.spec = replace(self.spec, hands_over=("*",))

    @hookimpl
    def dissect(self, protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message | Handover]]:
        self.calls.append(len(streams))
        return [self._hand_over(stream) for stream in streams]

    def _hand_over(self, stream: Stream) -> list[Message | Handover]:
        client, server = (bytes(side.data).find(b"\n") + 1 for side in stream.sides)
        name = bytes(stream.sides[0].data[: client - 1]).decode()
        first = [message for message in self._messages(stream) if message.start == 0]
        return [*first, Handover((rest_of(stream.sides[0], client), rest_of(stream.sides[1], server)), name)]


class Point:
    """An entry point of a Python package."""

    def __init__(self, name: str, load: Callable[[], Any]) -> None:
        self.name, self.load = name, load


def with_plugins(**plugins: Foreign) -> Plugins:
    """Return the built-in plugins and these: `lines=…` becomes lines@1.0.0."""
    return Plugins((f"{name}@1.0.0", plugin) for name, plugin in plugins.items())  # type: ignore[misc]
