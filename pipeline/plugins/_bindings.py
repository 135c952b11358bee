"""The protocols that can be dissected: which plugin has each, on which ports its streams lie, what lies inside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from kubeshark.core_capture import And, Or, PortBetween, Predicate, Transport
from kubeshark.extension_api import Message, ProtocolSpec
from kubeshark.pipeline.kfl._pushdown import any_of

if TYPE_CHECKING:
    from kubeshark.hosts._answered import Answered

__all__ = ["ENCRYPTED", "RAW", "Binding", "Bindings"]

ENCRYPTED = frozenset({"tls", "quic"})
"""Protocols that the decrypt step opens."""

NUMBERS = {"tcp": {6}, "udp": {17}, "sctp": {132}, "icmp": {1, 58}, "ip": set(range(256))}
"""IP protocol numbers of what protocols say they lie on."""

ALWAYS_ENCRYPTED = frozenset({"http3"})
"""Flags of protocols that only the decrypt step finds."""

RAW = "kubeshark.pipeline.dissectors.network.raw"
"""Shows the payload of streams that nobody takes: the last resort, never asked before."""


class Binding(Struct, frozen=True):
    """One protocol and the plugin that dissects it."""

    protocol: ProtocolSpec
    plugin: str  # name in the manager; id@version for foreign ones
    dissect: Callable[..., Any]
    probe: Callable[..., Any] | None
    is_builtin: bool
    answer: Callable[[Sequence[Any]], Sequence[Answered]] | None = None  # as `dissect`, with messages in columns


class Bindings:
    """The protocols of all plugins; `all` is in the order in which they are asked."""

    def __init__(self, bindings: Sequence[Binding]) -> None:
        self.all: list[Binding] = sorted(bindings, key=lambda binding: binding.protocol.priority)
        self.fallbacks = {binding.protocol.layer4: binding for binding in bindings if binding.plugin == RAW}
        """Those that take what nobody else takes, by transport."""
        self._siblings: dict[str, list[ProtocolSpec]] = {}
        for binding in bindings:
            self._siblings.setdefault(binding.plugin, []).append(binding.protocol)

    def beside(self, binding: Binding) -> list[ProtocolSpec]:
        """Return every protocol of the same plugin: its messages may be any of theirs."""
        return self._siblings[binding.plugin]

    def reached_from(self, binding: Binding, *, can_decrypt: bool) -> list[ProtocolSpec] | None:
        """Return the protocols that may be found in its streams: its plugin's, and those inside; None: any."""
        found: list[Binding] = [binding]
        for each in found:
            targets = each.protocol.hands_over
            if "*" in targets or (each.protocol.name in ENCRYPTED and can_decrypt):
                return None
            found += [other for other in self.all if other.protocol.flag in targets and other not in found]
        return [protocol for plugin in {each.plugin for each in found} for protocol in self._siblings[plugin]]

    def of_message(self, binding: Binding, message: Message) -> ProtocolSpec:
        """Return the protocol of a message: its binding's, unless it names another of the same plugin."""
        if not message.protocol:
            return binding.protocol
        named = (protocol for protocol in self._siblings[binding.plugin] if protocol.flag == message.protocol)
        return next(named, binding.protocol)

    def flags(self) -> frozenset[str]:
        """Return the flags that say what protocol a message is."""
        return frozenset(flag for binding in self.all for flag in binding.protocol.flags)

    def flag_flows(self, *, can_decrypt: bool = True) -> dict[str, Predicate]:
        """Return protocol flag → the flows its entries can come from, by transport, and by port where that is certain.

        Without secrets `http` need not look at datagrams: HTTP/3 is always encrypted.
        """
        by_flag: dict[str, list[Predicate]] = {}
        for binding in self.all:
            is_hidden = binding.protocol.flag in ALWAYS_ENCRYPTED and not can_decrypt
            flows: Predicate = Transport(
                frozenset[int]().union(*(NUMBERS[layer] for layer in binding.protocol.carriers))
            )
            if (ports := self.ports_of(binding)) is not None:
                flows = And((flows, Or(tuple(_at(low, high) for low, high in _spans(ports)))))
            for flag in () if is_hidden else binding.protocol.flags:
                by_flag.setdefault(flag, []).append(flows)
        return {flag: any_of(flows) for flag, flows in by_flag.items()}

    def ports_of(self, binding: Binding) -> frozenset[int] | None:
        """Return the ports, of client or server, of all streams that a binding's plugin can claim; None: any.

        Its messages may be of any protocol of the plugin. Only ports that are declared bind it: a probe is asked about
        every stream, a prefix lies on any port, and who hands streams over to a protocol by name asks nobody.
        """
        if binding.is_builtin:  # all of them know their protocols by content
            return None
        siblings = [each for each in self.all if each.plugin == binding.plugin]
        if any(each.probe or not each.protocol.classifiers for each in siblings):
            return None
        named = {flag for each in self.all for flag in each.protocol.hands_over}
        named |= {each.protocol.flag for each in self.all if each.is_builtin}  # "*" of a built-in names these
        is_named = any(each.protocol.flag in named for each in siblings)
        if is_named or any("*" in each.protocol.hands_over for each in self.all if not each.is_builtin):
            return None
        classifiers = [classifier for each in siblings for classifier in each.protocol.classifiers]
        if not all(classifier.ports for classifier in classifiers):
            return None
        return frozenset(port for classifier in classifiers for port in classifier.ports)

    def on_any_port(self, flag: str) -> bool:
        """Say whether a protocol's streams are known by their content alone, whatever their ports."""
        return any(flag in each.protocol.flags and self.ports_of(each) is None for each in self.all)


def _spans(ports: Iterable[int]) -> list[tuple[int, int]]:
    """Return ports as (first, last) of neighbours."""
    spans: list[tuple[int, int]] = []
    for port in sorted(ports):
        if spans and spans[-1][1] == port - 1:
            spans[-1] = (spans[-1][0], port)
        else:
            spans.append((port, port))
    return spans


def _at(low: int, high: int) -> Predicate:
    """Classifiers name either side's port."""
    return Or((PortBetween("dst", low, high), PortBetween("src", low, high)))
