"""Writes docs/performance.md from the last results, so that its figures are those of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks._measure import Result

__all__ = ["firewall_section", "keep_other", "kept_results", "page", "ui_section", "write_page"]

HEAD = """# Performance

`make bench` compares with peers on the same input in the same run, taking turns; medians of CPU time over {runs} runs;
equal results are asserted first. {capture_mb} MB made of our recording of a small shop's cluster (`examples/captures`),
{date}, {cpu}, {cores} cores, Python {python}. Shared machine: single figures vary by ±40 %, ratios less.

{other}![How far each benchmark is from its target](performance.svg)

| row | case | peer | ratio | target | met | elsewhere | |
|---|---|---|---|---|---|---|---|
"""
OTHER = """*Elsewhere*: the ratio of the last run on another processor ({cpu}, {cores} cores, {date}). Ratios are a
machine's, too: what waits for memory and what calculates does not slow down alike.

"""
TAIL = """
What is unfair, and to whom:

* Rows 1 and 2 count our CPU in a process whose code is loaded and whose index is cold; the peers' includes starting up
  (a few ms). The whole command, interpreter and imports included, stands in the last column: on small files it loses.
* The peers read a plain file; ours is encrypted and compressed, and was clustered by flow when it was imported.
* What Python does depends on how it was built: one without profile-guided optimisation (what pyenv builds unless told
  otherwise) takes a fifth more than Debian's, which the peers come from, too. `PYTHON=/usr/bin/python3 make setup`.
* The capture repeats one recording with other addresses: friendly to compression (row 6).
* Row 3: before anything is timed, both say the same requests, answers, names and commands, counted. Summaries are
  columns of an entry an exchange here (`batches`): times, ends, and the fields that say what it is; for tshark they are
  the same fields a packet (`-T fields`). Its lines of text take less than half of that and name no field; they are
  held to the same target. Streams with gaps, damage or a change of protocol are dissected in Python and cost ten
  times more than plain ones; the recordings have few of them. Protocols alone are compared with lines of text. The
  whole command (`kubeshark query`) writes a line an entry, its start included, on one processor; tshark a line a
  packet. Two processes are measured by the clock, lines of JSON out, the start of the second included.
* Row 5 is the whole command, Python's start and every sync included. `kubeshark import -` reads standard input, as the
  peer does. Of a file the SHA-256 is taken first, by which a second import knows it: that is a quarter of the work, and
  held to the same target, at 200 MB and at a gigabyte. The peer only compresses and encrypts.
* Row 9 (`make bench-large`) compares us with ourselves: the same query, for a flow and for a host, on ten times the
  packets, cold, through the catalogue.
* Row 7: each program's CPU from when it listens to its end. What it takes to begin is in the notes: ours
  is Python, and takes the memory of its first segment (32 MiB), so those page faults lie there. dumpcap is what was
  aimed at; tcpdump and netsniff-ng are shown beside it: they write plain packets and sync nothing.
* Row 8: heads of HTTP requests of the recording, parsed by the same dissector in three languages. Ours is the CPU of
  both processes from payloads in memory to checked columns; a Python object for each message is counted beside it.
  tshark reads a capture of the heads, and its start is included; Extism is called once a head.
"""


UI_HEAD = """
## The page

`make bench-ui`: the page at a million rows, with the hub's own encoder behind it, and the hub over a store of its own.
CPU is that of the browser's main thread (Chromium's counters), which other work on the machine does not change; what is
said to be on the wall is changed by it. {date}, {machine}, load {load}, Chromium {chromium}.

| row | case | of | is | target | met | |
|---|---|---|---|---|---|---|
"""


FIREWALL_HEAD = """
## The firewall

`make bench-firewall`, as root: nanoseconds are the kernel's own count of trial runs; drops and TCP are processor time
for a fixed amount of work, in turns, on a veth pair between two network namespaces. xdp-filter matches ports alone.
{date}, Linux {kernel}.

| row | case | is | target | met |
|---|---|---|---|---|
"""


def page(
    results: list[dict[str, Any]],
    machine: dict[str, Any],
    other: list[dict[str, Any]],
    other_machine: dict[str, Any] | None,
) -> str:
    """Return the page; arguments as `make bench` writes them to benchmarks/results, here and on another processor."""
    ratios = {_key(each): f"{each['ratio']:.2f}" for each in other}
    rows = [f"| {_cells(each)} | {ratios.get(_key(each), '')} | {each['note']} |" for each in results]
    said = OTHER.format(**other_machine) if other_machine else ""
    return HEAD.format(**machine, other=said) + "\n".join(rows) + "\n" + TAIL


def ui_section(results: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """Return the section on the web UI; arguments as `make bench-ui` writes them."""
    return UI_HEAD.format(**machine) + "\n".join(map(_row, results)) + "\n"


def firewall_section(found: dict[str, Any]) -> str:
    """Return the section on the firewall; argument as `make bench-firewall` writes it."""
    rows = []
    for case, ratio in found["ratios"].items():
        sign, limit = found["targets"][case].split()
        is_met = ratio <= float(limit) if sign == "≤" else ratio >= float(limit)
        rows.append(f"| 11 | {case} | {ratio:.2f} | {sign} {limit} | {'yes' if is_met else 'no'} |")
    return FIREWALL_HEAD.format(**found) + "\n".join(rows) + "\n"


def kept_results(root: Path) -> list[dict[str, Any]]:
    """Return what `make bench` and `make bench-large` wrote to benchmarks/results, by row."""
    kept = root / "benchmarks" / "results"
    paths = (path for path in (kept / "latest.json", kept / "large.json") if path.exists())
    return sorted((result for path in paths for result in json.loads(path.read_text())), key=lambda each: each["row"])


def keep_other(latest: Path, cpu: str) -> None:
    """Put the results of the last run aside if it was on another processor than this one."""
    machine = latest.with_name("machine.json")
    if latest.exists() and machine.exists() and json.loads(machine.read_text())["cpu"] != cpu:
        machine.replace(latest.with_name("other-machine.json"))
        latest.replace(latest.with_name("other.json"))


def write_page(root: Path) -> None:
    """Write docs/performance.md from benchmarks/results, whichever of them is new."""
    kept = root / "benchmarks" / "results"

    def read(name: str) -> Any:
        return json.loads((kept / name).read_text())

    has_other = (kept / "other.json").exists()
    other, other_machine = (read("other.json"), read("other-machine.json")) if has_other else ([], None)
    text = page(kept_results(root), read("machine.json"), other, other_machine)
    if (kept / "ui.json").exists():
        text += ui_section(read("ui.json"), read("ui-machine.json"))
    if (kept / "firewall.json").exists():
        text += firewall_section(read("firewall.json"))
    (root / "docs" / "performance.md").write_text(text)


def _row(result: dict[str, Any]) -> str:
    return f"| {_cells(result)} | {result['note']} |"


def _cells(result: dict[str, Any]) -> str:
    """Return row, case, peer, ratio, target and whether it is met."""
    higher = result["better"] == "higher"
    target, met = "", ""
    if result["target"] is not None:
        target = f"{'≥' if higher else '≤'} {result['target']:g}"
        met = "yes" if Result(**result).is_met else "no"
    cells = (result["row"], result["case"], result["peer"].replace("|", r"\|"), f"{result['ratio']:.2f}", target, met)
    return " | ".join(map(str, cells))


def _key(result: dict[str, Any]) -> tuple[int, str, str]:
    return result["row"], result["case"], result["peer"]
