"""The hooks of a dissector that knows one protocol and looks at one stream at a time, as nearly all of ours do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from kubeshark.extension_api import Handover, Message, ProtocolSpec, Stream, Verdict, hookimpl

__all__ = ["one_protocol"]


Messages = Sequence[Message | Handover]


class _Hooks(NamedTuple):
    protocols: Callable[[], Sequence[ProtocolSpec]]
    probe: Callable[[ProtocolSpec, Sequence[Stream]], Sequence[Verdict]]
    dissect: Callable[[ProtocolSpec, Sequence[Stream]], Sequence[Messages]]


def one_protocol(
    spec: ProtocolSpec,
    is_mine: Callable[[Stream], bool],
    messages: Callable[[Stream], Iterable[Message | Handover]],
) -> _Hooks:
    """Return (protocols, probe, dissect) for the module: `is_mine` answers the probe, `messages` reads a stream."""

    @hookimpl
    def protocols() -> Sequence[ProtocolSpec]:
        return (spec,)

    @hookimpl
    def probe(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:  # noqa: ARG001 - there is only one
        return [Verdict.MINE if is_mine(stream) else Verdict.NOT_MINE for stream in streams]

    @hookimpl
    def dissect(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Messages]:  # noqa: ARG001 - there is only one
        return [list(messages(stream)) for stream in streams]

    return _Hooks(protocols, probe, dissect)
