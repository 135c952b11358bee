"""A foreign plugin behind the pipeline's hooks: what it breaks is named, and everything else is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kubeshark.extension_api import HOOKS, Datagram, Endpoint, build_manager
from kubeshark.extension_api._batch import Batch
from kubeshark.extension_api._frame import FrameItem
from kubeshark.hosts import ForeignPlugin, PluginState, Supervision


class Flow:
    transport = "udp"
    sides = ()
    client = Endpoint("192.0.2.1", 40000)
    server = Endpoint("192.0.2.2", 7)

    def __init__(self, *orders: str) -> None:
        self.datagrams = [Datagram(0, at, memoryview(order.encode())) for at, order in enumerate(orders)]

    def turns(self) -> list[tuple[int, int, int]]:
        return []


@pytest.fixture
def plugin(faulty_c: Any) -> Iterator[ForeignPlugin]:
    plugin = ForeignPlugin(*faulty_c, Supervision(crashes=3, backoff_s=0.0))
    yield plugin
    plugin.close()


def dissect(plugin: ForeignPlugin, *flows: Flow) -> list[list[tuple[Any, str]]]:
    (spec,) = plugin.protocols()
    found = plugin.dissect(spec, flows)  # type: ignore[arg-type]
    return [[(message.fields.get("faulty_said"), message.error) for message in messages] for messages in found]


def test_it_registers_only_the_hooks_it_has(plugin: ForeignPlugin) -> None:
    manager = build_manager(HOOKS)
    manager.register(plugin, plugin.name)
    implemented = {hook.name for hook in HOOKS if getattr(manager.hook, hook.name).get_hookimpls()}
    assert implemented == {"protocols", "filters", "dissect"}
    assert plugin.name == "faulty-c@1.0.0"


def test_a_poison_datagram_has_an_error_and_the_rest_is_dissected(plugin: ForeignPlugin) -> None:
    found = dissect(plugin, Flow("say 1", "abort", "say 2"), Flow("say 3"))
    ((first, (said, error), last), other) = found
    assert (first, said, last, other) == (("1", ""), None, ("2", ""), [("3", "")])
    assert error.startswith("plugin faulty-c@1.0.0 was ended by SIGABRT")
    (problem,) = plugin.take_problems()
    assert str(problem).startswith("plugin faulty-c@1.0.0 in dissect: was ended by SIGABRT")
    assert plugin.take_problems() == []


def test_a_quarantined_plugin_finds_nothing_and_says_why(plugin: ForeignPlugin) -> None:
    dissect(plugin, Flow(*["abort"] * 4))
    assert plugin.status.state is PluginState.QUARANTINED
    plugin.take_problems()
    assert dissect(plugin, Flow("say 1"), Flow("say 2")) == [[], []]
    (problem,) = plugin.take_problems()
    assert "3 crashes within 300 s" in str(problem)


def test_more_items_than_a_frame_holds(plugin: ForeignPlugin) -> None:
    flows = [Flow(*(f"say {at}" for at in range(100))) for _ in range(42)]
    assert dissect(plugin, *flows) == [[(str(at), "") for at in range(100)]] * 42
    assert plugin.status.calls == 2


def test_columns_are_frames_and_leave_out_what_failed(plugin: ForeignPlugin) -> None:
    items = [FrameItem(f"say {at}".encode(), stream=at, transport=17) for at in range(4172)]
    first, second = plugin.columns(Batch.of(items))
    assert (len(first.batch), len(first), len(second)) == (4096, 4096, 76)
    assert [message.fields[0] for message in second.read()] == [str(at) for at in range(4096, 4172)]
    orders = [b"say 1", b"abort", b"say 2"]
    parts = plugin.columns(Batch.of([FrameItem(order, stream=at, transport=17) for at, order in enumerate(orders)]))
    said = [(part.batch[message.item].stream, message.fields[0]) for part in parts for message in part.read()]
    assert sorted(said) == [(0, "1"), (2, "2")]
    (problem,) = plugin.take_problems()
    assert str(problem).startswith("plugin faulty-c@1.0.0 in dissect: was ended by SIGABRT")
