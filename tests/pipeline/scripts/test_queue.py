"""What scripts queue is done in order, and comes to an end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kubeshark.pipeline.scripts import Script
from kubeshark.pipeline.scripts._isolate import Role
from kubeshark.pipeline.scripts._queue import MAX_CHAINED, CommandQueue

from ._bench import loaded, said

LEFT_OUT = "hub.action: onHubAction calls it again and again: left out"

LOOP = """
function onHubAction(action, deep) {
  if (!deep) console.log(action);
  hub.action("again", deep + 1);
  hub.action("again", deep + 1);
}
jobs.schedule("begin", "0 0 0 1 1 *", function () { hub.action("first", 0); });
"""


class Bench:
    """A queue whose commands queue others: each name what `more` has for it."""

    def __init__(self, more: dict[str, list[str]]) -> None:
        self.more, self.done, self.told = more, list[str](), list[str]()
        self.queue = CommandQueue(self.do, lambda script, role, level, text: self.told.append(text))

    def do(self, role: Role, script: str, name: str, values: list[Any]) -> None:
        self.done.append(name)
        self.queue.settle()  # from within it does nothing: what waits keeps its order
        self.add(*self.more.get(name, []))

    def add(self, *names: str) -> None:
        self.queue.extend("hub", [("script", name, []) for name in names])


def test_in_order() -> None:
    bench = Bench({"a": ["c", "d"], "b": ["e"]})
    bench.add("a", "b")
    bench.queue.settle()
    assert (bench.done, bench.told) == (["a", "b", "c", "d", "e"], [])


def test_an_action_may_follow_an_action() -> None:
    bench = Bench({"hub.action": ["console.log"]})
    bench.add(*["hub.action"] * (MAX_CHAINED + 5))
    bench.queue.settle()
    assert (len(bench.done), bench.told) == (2 * (MAX_CHAINED + 5), [])


def test_a_chain_of_actions_ends() -> None:
    for fan in (1, 2, 50):
        bench = Bench({"hub.action": ["hub.action"] * fan})
        bench.add("hub.action")
        bench.queue.settle()
        assert 1 < len(bench.done) <= MAX_CHAINED + 1
        assert set(bench.told) == {LEFT_OUT}


def test_a_script_whose_action_calls_itself(tmp_path: Path) -> None:
    with loaded(tmp_path, Script("loop", "Loop", "loop.js", LOOP, {}), roles=("hub",)) as scripts:
        for runs in (1, 2):
            [job] = scripts.jobs()
            scripts._run_job(job)
            assert said(scripts, level="log") == ["first"] * runs
        assert set(said(scripts, level="error")) == {LEFT_OUT}
