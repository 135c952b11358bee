from __future__ import annotations

from kubeshark.pipeline.scripts._console import KEPT, MAX_LINE, Console, ConsoleLine


def line(text: str, script: str = "s", level: str = "log", at: int = 0) -> ConsoleLine:
    return ConsoleLine(at, script, script.upper(), "hub", level, text)


def test_the_last_lines_of_each_script_are_kept() -> None:
    console = Console()
    for n in range(KEPT + 10):
        console.add(line(str(n), at=n))
    console.add(line("other", "o", at=5))
    assert len(console.lines("s")) == KEPT and console.lines("S")[0].text == "10"
    assert console.lines()[0].text == "other"


def test_clear_empties_one_script_and_listeners_hear_all() -> None:
    console = Console()
    heard: list[str] = []
    end = console.listen(lambda each: heard.append(each.level))
    for each in (line("a"), line("b", "o"), line("", level="clear")):
        console.add(each)
    end()
    console.add(line("x" * (MAX_LINE + 5)))
    assert heard == ["log", "log", "clear"]
    assert {each.text[:1] for each in console.lines()} == {"b", "x"}
    assert len(console.lines("s")[0].text) == MAX_LINE + 1
