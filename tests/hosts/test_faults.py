"""Every way a plugin can go wrong, in every language: one item is marked, the others are answered.

Another language adds its plugin (tests/hosts/faulty/<language>) and its lines to FAULTS.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from kubeshark.hosts._supervisor import PluginState, Poison

FORBIDDEN = r"forbidden system call"
NONSENSE = r"answered nonsense"
TOO_LONG = r"took (too long|longer than \d+ ms)"
FAULTS = {
    "c": {
        "segfault": r"SIGSEGV in obey \(faulty.c:\d+\), called from dissect \(faulty.c:\d+\)",
        "abort": r"SIGABRT in obey \(faulty.c:\d+\), called from dissect \(faulty.c:\d+\)",
        "nullcall": r"SIGSEGV in obey \(faulty.c:\d+\)",
        "exit": r"exited with status 3",
        "loop": r"took longer than \d+ ms in obey \(faulty.c:\d+\), called from dissect \(faulty.c:\d+\)",
        "stack": r"SIGSEGV in overflow \(faulty.c:\d+\)",
        "memory": r"SIGSEGV|SIGKILL",  # malloc gives NULL at the limit, and it does not look
        "fork": FORBIDDEN,
        "system": FORBIDDEN,
        "thread": FORBIDDEN,
        "open": FORBIDDEN,
        "socket": FORBIDDEN,
        "kill": FORBIDDEN,
        "ptrace": FORBIDDEN,
        "exec": FORBIDDEN,
        "peek": FORBIDDEN,
        "keyring": FORBIDDEN,
        "unshare": FORBIDDEN,
        "newcode": FORBIDDEN,
        "shrink": FORBIDDEN,
        "write-request": r"SIGSEGV in obey \(faulty.c:\d+\)",
        "flood": r"over the limit",
        "control": NONSENSE + r"|claims a result",
        "field": NONSENSE + r".*field 99",
        "type": NONSENSE + r".*declared string",
        "outside": NONSENSE + r".*ends outside",
        "magic": NONSENSE + r".*magic",
        "partial": NONSENSE,
        "offsets": NONSENSE,
        "noise": NONSENSE,
        "failure": r"ks_call failed",
        "huge": r"claims a result of 1,099,511,627,776 bytes",
        "needed": r"over the limit",
    },
    "js": {
        "loop": TOO_LONG,
        "regex": TOO_LONG,
        "stack": r"faulty.js:\d+:\d+: RangeError: Maximum call stack",
        "memory": TOO_LONG + r"|more memory than it may|SIG(ABRT|TRAP|ILL|SEGV)",
        "buffers": TOO_LONG + r"|Array buffer allocation failed|SIG(ABRT|TRAP|ILL|SEGV)",
        "tamper": r"tampered",
        "throw": r"faulty.js:\d+:\d+: Error: on purpose",
        "nothing": r"faulty.js:\d+:\d+: undefined",
        "outside": r"reaches beyond the item",
        "backwards": r"reaches beyond the item",
        "kind": r"not request, response or event",
        "field": r"field nonsense is not in plugin.toml",
        "consumed": r"dissect must return",
        "promise": r"dissect must return",
        "flood": r"larger than 8 MiB",
        "large": r"larger than 8 MiB",
    },
    "go": {
        "loop": TOO_LONG,
        "stack": TOO_LONG + r"|too deeply in main\.deeper|out of memory|stack exceeds",
        "memory": TOO_LONG + r"|out of memory|cannot allocate",
        "panic": r"on purpose \(main.faulty.Dissect, .*main.go:\d+\)",
        "nil": r"nil pointer dereference \(main.faulty.Dissect, .*main.go:\d+\)",
        "index": r"index out of range \[5\] with length 5 \(main.faulty.Dissect, .*main.go:\d+\)",
        "library": r"negative Repeat count \(strings.Repeat, strings/strings.go:\d+, called from main.faulty.Dissect,",
        "exit": r"exit code 3",
        "sleep": r"nothing would wake it|" + TOO_LONG,
        "goroutine": r"panic: beside the call",
        "deadlock": r"asleep|deadlock|" + TOO_LONG,
        "outside": r"reaches beyond the item \(main.faulty.Dissect, .*main.go:\d+\)",
        "backwards": r"reaches beyond the item",
        "consumed": r"consumed more than there is",
        "flood": r"at most 8,388,608|out of memory",
        "large": r"at most 8,388,608",
        "field": NONSENSE + r".*field 99",
        "type": NONSENSE + r".*declared string",
    },
}
CASES = [(language, fault) for language, faults in FAULTS.items() for fault in faults]


@pytest.fixture
def built(request: pytest.FixtureRequest, language: str) -> Any:
    return request.getfixturevalue(f"faulty_{language}")


@pytest.mark.parametrize(("language", "fault"), CASES, ids=[f"{language}-{fault}" for language, fault in CASES])
def test_a_fault_costs_one_item(built: tuple[Path, Any], language: str, fault: str, start: Callable[..., Any]) -> None:
    folder, manifest = built
    if "took" not in FAULTS[language][fault]:  # what is not about time gets enough of it, on a busy machine too
        manifest = replace(manifest, limits=replace(manifest.limits, batch_ms=10_000))
    plugin = start((folder, manifest))
    orders = [f"say {index}" for index in range(9)]
    orders[4] = fault
    answers = plugin.say(orders)
    culprit = answers.pop(4)
    assert isinstance(culprit, Poison)
    assert re.search(FAULTS[language][fault], culprit.reason), culprit.reason
    assert answers == [[str(index)] for index in range(9) if index != 4]
    status = plugin.process.status
    assert (status.state, status.crashes, status.poison) in (
        (PluginState.RUNNING, 1, 1),
        (PluginState.FAILED, 1, 1),
    )
    assert plugin.say(["say again"]) == [["again"]]
    assert plugin.process.status.trouble == culprit.reason  # for `plugin list`, although it runs again


@pytest.mark.parametrize("language", FAULTS)
def test_it_is_quarantined_after_too_many_crashes(built: Any, language: str, start: Callable[..., Any]) -> None:
    plugin, neighbour = start(built, crashes=3), start(built)
    answers = plugin.say(["say 1", "abort", "abort", "say 2", "abort", "abort", "say 3"])
    assert plugin.process.state is PluginState.QUARANTINED
    assert "3 crashes" in plugin.process.status.reason
    assert plugin.process.status.pid == 0
    assert answers[0] == ["1"]
    assert sum(isinstance(answer, Poison) and not answer.skipped for answer in answers) == 3
    after = plugin.say(["say 4"])
    assert after == [Poison(plugin.process.status.reason, skipped=True)]
    assert neighbour.say(["say 5"]) == [["5"]]
    plugin.process.release()
    assert plugin.say(["say 6"]) == [["6"]]


@pytest.mark.parametrize("language", FAULTS)
def test_no_secret_reaches_it(
    built: Any, language: str, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBESHARK_TEST_SECRET", "AGE-SECRET-KEY-1")
    plugin = start(built)
    ((said,),) = plugin.say(["secrets"])
    assert "SECRET" not in said
    assert "HOME" not in said


def test_what_it_prints_goes_nowhere(
    faulty_c: Any, start: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    plugin = start(faulty_c)
    assert plugin.say(["print", "say 1"]) == [[""], ["1"]]
    assert capfd.readouterr() == ("", "")


def test_close_ends_a_call_under_way(faulty_c: Any, start: Callable[..., Any]) -> None:
    folder, manifest = faulty_c
    plugin = start((folder, manifest))
    plugin.process._batch_s = 30.0
    answers: list[Any] = []
    caller = threading.Thread(target=lambda: answers.extend(plugin.say(["loop", "say 1"])))
    caller.start()
    while not plugin.process.status.pid:
        time.sleep(0.005)
    time.sleep(0.05)
    began = time.monotonic()
    plugin.process.close()
    caller.join(20)
    assert time.monotonic() - began < 20, "of 30"
    assert [type(answer) for answer in answers] == [Poison, Poison]
    assert plugin.process.state is PluginState.STOPPED


EXIT = """
import sys, threading, time
from pathlib import Path
from kubeshark.extension_api._frame import DISSECT, FrameItem
from kubeshark.extension_api._manifest import read_manifest
from kubeshark.hosts import PluginProcess
folder = Path(sys.argv[1])
process = PluginProcess(folder, read_manifest(folder))
process._batch_s = 600.0
orders = [FrameItem(b"loop")]
threading.Thread(target=process.call, args=(DISSECT, orders, lambda *_: []), daemon=True).start()
while not process.status.pid:
    time.sleep(0.01)
time.sleep(0.2)
print(process.status.pid)
"""


@pytest.mark.parametrize("language", ["c", "js"])
def test_an_endless_call_does_not_keep_the_interpreter(built: tuple[Path, Any]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXIT, built[0]], capture_output=True, text=True, timeout=60, check=True
    )
    deadline = time.monotonic() + 60
    while Path(f"/proc/{int(done.stdout)}/cmdline").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{int(done.stdout)}/cmdline").exists()


def test_its_process_is_confined(faulty_c: Any, start: Callable[..., Any]) -> None:
    plugin = start(faulty_c)
    plugin.process.start()
    pid = plugin.process.status.pid
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert status["CapEff"] == status["CapPrm"] == "0" * 16
    assert status["Threads"] == "1"
    if os.geteuid() == 0:
        assert set(status["Uid"].split()) == {"65534"}
        descriptors = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        assert {name.split(":")[0] for name in descriptors} <= {
            "/dev/null", "socket", "/memfd", "/memfd:plugin (deleted)", "/memfd:kubeshark-batch (deleted)",
        }  # fmt: skip
        assert Path(f"/proc/{pid}/environ").read_bytes() == b""
