"""Which protocol takes a stream: declared classifiers first, then probes by content, by the protocols' priority.

The first protocol that says MINE has the stream. Classifiers only name candidates where the protocol has a probe too:
content decides, because any port may carry anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from kubeshark.errors import PluginError
from kubeshark.extension_api import PROBE_BYTES, Classifier, Verdict
from kubeshark.pipeline._budget import go_on
from kubeshark.pipeline.plugins._bindings import Binding
from kubeshark.pipeline.reading._streams import FlowStream

__all__ = ["Claimant", "Claims", "has_payload"]


class Claimant(Protocol):
    """A stream that looks for its protocol."""

    stream: FlowStream
    forced: str  # flag of the protocol that must take it, whatever its content; "" if that is to be found out
    outer: tuple[str, ...]  # flags of the protocols that it was taken out of


class Claims:
    """The protocols' claims, indexed by port: once a query. `problems` gets what probes of plugins did wrong."""

    def __init__(
        self, bindings: Sequence[Binding], problems: list[PluginError], go_on: Callable[[], None] = go_on
    ) -> None:
        self._bindings = bindings  # by priority
        self._go_on = go_on  # raises where nobody wants the answer any more
        self._problems = problems
        self._by_flag: dict[str, Binding] = {}
        for binding in bindings:
            self._by_flag.setdefault(binding.protocol.flag, binding)
        self._by_port: defaultdict[tuple[str, int], list[tuple[int, Classifier]]] = defaultdict(list)
        self._by_content: defaultdict[str, list[tuple[int, Classifier]]] = defaultdict(list)
        for place, binding in enumerate(bindings):
            for classifier in binding.protocol.classifiers:
                for port in classifier.ports:
                    self._by_port[classifier.transport, port].append((place, classifier))
                if not classifier.ports:
                    self._by_content[classifier.transport].append((place, classifier))
        self._carriers = [binding.protocol.carriers for binding in bindings]

    def claim(self, claimants: Sequence[Claimant]) -> list[Binding | None]:
        """Return for each stream the protocol that takes it."""
        streams = [claimant.stream for claimant in claimants]
        claims = [self._by_flag.get(claimant.forced) if claimant.forced else None for claimant in claimants]
        waiting = {at for at, claimant in enumerate(claimants) if not claimant.forced and has_payload(claimant.stream)}
        candidates: defaultdict[int, list[int]] = defaultdict(list)
        for at in sorted(waiting):
            self._go_on()
            for place in self._classified(streams[at]):
                binding = self._bindings[place]
                if binding.probe or binding.protocol.flag not in claimants[at].outer:  # the port was theirs already
                    candidates[place].append(at)
        for place in sorted(candidates):
            self._offer(place, candidates[place], streams, waiting, claims)
        for place, binding in enumerate(self._bindings):  # classifiers of all protocols come before anybody's probe
            if not waiting:
                break
            if binding.probe is not None:
                asked = set(candidates[place])
                rest = [at for at in sorted(waiting - asked) if streams[at].transport in self._carriers[place]]
                self._offer(place, rest, streams, waiting, claims)
        return claims

    def _offer(
        self,
        place: int,
        candidates: Sequence[int],
        streams: Sequence[FlowStream],
        waiting: set[int],
        claims: list[Binding | None],
    ) -> None:
        self._go_on()
        binding = self._bindings[place]
        for at in self._probe(binding, streams, [at for at in candidates if at in waiting]):
            claims[at] = binding
            waiting.discard(at)

    def _probe(self, binding: Binding, streams: Sequence[FlowStream], candidates: list[int]) -> Iterable[int]:
        if binding.probe is None or not candidates:
            return candidates
        try:
            verdicts = binding.probe(protocol=binding.protocol, streams=[streams[at] for at in candidates])
        except PluginError as error:
            self._problems.append(error)
            return ()
        return [at for at, verdict in zip(candidates, verdicts, strict=True) if verdict is Verdict.MINE]

    def _classified(self, stream: FlowStream) -> set[int]:
        """Return the places of the protocols whose classifiers match."""
        transport = stream.transport
        named = self._by_content.get(transport, [])
        for port in {stream.server.port, stream.client.port}:
            named = named + self._by_port.get((transport, port), [])
        heads = _heads(stream) if any(classifier.prefix for _, classifier in named) else (b"", b"")
        return {place for place, classifier in named if _begins(classifier, heads)}


def has_payload(stream: FlowStream) -> bool:
    if stream.sides:
        return any(len(side.data) for side in stream.sides)
    return bool(stream.datagrams)


def _heads(stream: FlowStream) -> tuple[bytes, bytes]:
    """First bytes of (client, server)."""
    if stream.sides:
        client, server = (bytes(side.data[:PROBE_BYTES]) for side in stream.sides)
        return client, server
    heads = [b"", b""]
    for datagram in stream.datagrams:
        heads[datagram.direction] = heads[datagram.direction] or bytes(datagram.data[:PROBE_BYTES])
        if all(heads):
            break
    return heads[0], heads[1]


def _begins(classifier: Classifier, heads: tuple[bytes, bytes]) -> bool:
    if not classifier.prefix:
        return bool(classifier.ports)
    client, server = heads
    offset, prefix, side = classifier.offset, classifier.prefix, classifier.side
    return (side != "server" and client.startswith(prefix, offset)) or (
        side != "client" and server.startswith(prefix, offset)
    )
