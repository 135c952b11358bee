"""Protocols and their plugins: the order in which they are asked, and where their streams may lie."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kubeshark.extension_api import Classifier, ProtocolSpec, Verdict, hookimpl
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.kfl._pushdown import describe
from tests.pipeline._plugins import Envelope, Foreign, Lines, ProbedLines, with_plugins


def test_built_ins_are_plugins() -> None:
    plugins = Plugins()
    assert {"http", "dns", "icmp"} <= {binding.protocol.name for binding in plugins.protocols.all}
    assert all(binding.is_builtin for binding in plugins.protocols.all)
    priorities = [binding.protocol.priority for binding in plugins.protocols.all]
    assert priorities == sorted(priorities)
    assert set(plugins.protocols.fallbacks) == {"tcp", "udp", "sctp"}
    assert plugins.take_problems() == []


def test_a_foreign_protocol_is_no_built_in() -> None:
    with with_plugins(lines=Lines()) as plugins:
        (binding,) = [binding for binding in plugins.protocols.all if binding.protocol.name == "lines"]
    assert (binding.plugin, binding.is_builtin, binding.probe) == ("lines@1.0.0", False, None)


def test_a_protocol_without_dissector_is_left_out() -> None:
    class Silent(Foreign):
        @hookimpl
        def protocols(self) -> Sequence[ProtocolSpec]:
            return (ProtocolSpec("silent", "S", "Silent"),)

    with with_plugins(silent=Silent()) as plugins:
        assert "silent" not in {binding.protocol.name for binding in plugins.protocols.all}


def test_flags_and_the_transports_they_lie_in() -> None:
    both = Lines(Classifier("tcp", (7000,)), Classifier("udp", (7000,)))
    with with_plugins(lines=both) as plugins:
        assert "transport tcp/udp" in described(plugins, "lines")
        assert described(plugins, "icmp") == "transport icmp/icmpv6"
    with with_plugins(lines=ProbedLines(Verdict.MINE, transports=("tcp", "udp"))) as plugins:
        assert "transport tcp/udp" in described(plugins, "lines")


TCP_7000 = Classifier("tcp", (7000, 7001))


@pytest.mark.parametrize(
    ("plugin", "others", "is_bound"),
    [
        (Lines(TCP_7000), [], True),
        (Lines(TCP_7000, Classifier("tcp", (7002,), prefix=b"x")), [], True),
        (Lines(TCP_7000, Classifier("tcp", prefix=b"x")), [], False),  # on any port
        (Lines(), [], False),
        (ProbedLines(Verdict.MINE, TCP_7000), [], False),
        (Lines(TCP_7000), [Envelope(Classifier("tcp", (9,)), name="envelope")], False),  # hands over to anybody
        (Lines(TCP_7000, name="ws"), [], False),  # a built-in hands over to whoever has this name
    ],
)
def test_a_protocol_is_bound_to_its_ports_where_nothing_else_finds_it(
    plugin: Lines, others: list[Lines], is_bound: bool
) -> None:
    with with_plugins(lines=plugin, **{f"other{at}": other for at, other in enumerate(others)}) as plugins:
        binding = next(binding for binding in plugins.protocols.all if binding.plugin == "lines@1.0.0")
        assert (plugins.protocols.ports_of(binding) is not None) == is_bound
        assert plugins.protocols.on_any_port(binding.protocol.flag) != is_bound
        if is_bound:
            assert "port 7000-7001" in described(plugins, "lines") or "port 7000-7002" in described(plugins, "lines")


def described(plugins: Plugins, flag: str) -> str:
    return describe(plugins.protocols.flag_flows()[flag])
