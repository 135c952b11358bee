"""Starting and ending plugins: what does not load says why, and nothing outlives anybody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeshark.errors import PluginCrashed
from kubeshark.hosts import _children, _sandbox
from kubeshark.hosts._children import Child, ChildError, the_zygote
from kubeshark.hosts._sandbox import confine
from kubeshark.hosts._supervisor import PluginState
from kubeshark.hosts.c import _instance

MANIFEST = (Path(__file__).parent / "faulty" / "c" / "plugin.toml").read_text()
HOOKS = "const ks_plugin_hooks ks_plugin = {.dissect = dissect};"
DISSECT = "static uint32_t dissect(const ks_item *item, ks_writer *out) { (void)out; return item->bytes.length; }"
CONSTRUCTOR = "__attribute__((constructor)) static void begin(void) "
GOOD = f'#include "kubeshark_plugin.h"\n{DISSECT}\n{HOOKS}\n'


def write(folder: Path, source: str, manifest: str = MANIFEST) -> Path:
    folder.mkdir()
    (folder / "plugin.toml").write_text(manifest)
    (folder / "plugin.c").write_text(source)
    return folder


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (GOOD.replace("{.dissect = dissect}", "{.dissect = dissect, .probe = 0, .filter = 0, .render = 0}"), ""),
        ("int nothing;", "cannot be loaded: .*ks_abi"),
        ("#include <stdint.h>\nuint32_t ks_abi(void) { return 2; } int ks_hooks, ks_call;", "."),
        (GOOD + CONSTRUCTOR + "{ *(volatile int *)8 = 1; }", r"SIGSEGV in begin \(plugin.c:4\)"),
        (GOOD + CONSTRUCTOR + "{ for (;;) __asm__(\"\"); }", r"took longer than 4,000 ms in begin \(plugin.c:4\)"),
        ("#include <unistd.h>\n" + GOOD + CONSTRUCTOR + "{ fork(); }", "forbidden system call"),
        ("#include <unistd.h>\n" + GOOD + CONSTRUCTOR + "{ _exit(0); }", "exited with status 0"),
        (GOOD + "extern int missing(void); int use(void) { return missing(); }", "cannot be loaded: .*missing"),
        (GOOD + CONSTRUCTOR + '{ if (fopen("/etc/passwd", "r")) *(volatile int *)8 = 1; }', ""),
    ],
    ids=["good", "no-symbols", "wrong-abi", "segfault", "loop", "fork", "exit", "unresolved", "file"],
)  # fmt: skip
def test_what_does_not_load_says_why(
    tmp_path: Path, compile_c: Callable[..., Any], start: Callable[..., Any], source: str, reason: str
) -> None:
    built = compile_c(
        write(
            tmp_path / "plugin",
            source.replace("uint32_t ks_abi", '__attribute__((visibility("default"))) uint32_t ks_abi'),
        )
    )
    plugin = start(built, crashes=2, start_s=4.0 if "longer" in reason else 30.0)
    if not reason:
        plugin.process.start()
        assert plugin.process.state is PluginState.RUNNING
        return
    with pytest.raises(PluginCrashed, match=reason):
        plugin.process.start()
    assert plugin.process.state is PluginState.QUARANTINED
    assert plugin.process.status.starts == 2


def test_hooks_must_be_those_of_the_manifest(
    tmp_path: Path, compile_c: Callable[..., Any], start: Callable[..., Any]
) -> None:
    manifest = MANIFEST.replace('["dissect"]', '["dissect", "render"]')
    plugin = start(compile_c(write(tmp_path / "plugin", GOOD, manifest)))
    with pytest.raises(PluginCrashed, match=r"offers the hooks 0x10, its manifest says 0x110: build it again"):
        plugin.process.start()


def test_a_missing_object_and_a_text_file(faulty_c: Any, tmp_path: Path) -> None:
    folder = write(tmp_path / "plugin", "")
    with pytest.raises(ChildError, match=r"build/faulty\.so (cannot be read|is missing)"):
        Child(folder, "c", 64, 5)
    (folder / "build").mkdir()
    (folder / "build" / "faulty.so").write_text("not an object")
    with pytest.raises(ChildError, match=r"build/faulty\.so: (file too short|invalid ELF header)|is no shared object"):
        Child(folder, "c", 64, 5)


def test_a_dead_zygote_is_replaced_and_takes_its_children_along(faulty_c: Any, start: Callable[..., Any]) -> None:
    plugin = start(faulty_c)
    assert plugin.say(["say 1"]) == [["1"]]
    child, before = plugin.process.status.pid, the_zygote().pid
    os.kill(before, signal.SIGKILL)
    assert _gone(before)
    assert _gone(child)
    assert plugin.say(["say 2", "say 3"]) == [["2"], ["3"]]
    assert the_zygote().pid != before


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_the_zygote_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_TEST_SECRET", "1")
    zygote = _children.Zygote()
    try:
        assert Path(f"/proc/{zygote.pid}/environ").read_bytes() == b""
        zygote.request({"do": "end", "pid": 0})
        names = {str(entry.readlink()).split(":")[0] for entry in Path(f"/proc/{zygote.pid}/fd").iterdir()}
        assert names == {"/dev/null", "socket"}
        assert len(list(Path(f"/proc/{zygote.pid}/task").iterdir())) == 1
    finally:
        zygote.close()
        zygote.close()
    assert not zygote.alive


def test_closing_a_plugin_leaves_no_process_and_no_descriptor(faulty_c: Any, start: Callable[..., Any]) -> None:
    the_zygote()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        plugin = start(faulty_c)
        assert plugin.say(["say 1"]) == [["1"]]
        pid = plugin.process.status.pid
        plugin.process.close()
        assert _gone(pid)
    del plugin
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 3


AS_A_USER = """
import os, sys
from pathlib import Path
from kubeshark.extension_api._manifest import read_manifest
from kubeshark.hosts._sandbox import confine, seal
from kubeshark.hosts.c import _instance
manifest = read_manifest(Path(sys.argv[1]))
prepared = _instance.prepare(Path(sys.argv[1]), manifest)
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(1234, 1234, 1234)
    os.setresuid(1234, 1234, 1234)
confine(_instance.SANDBOX, 64)
instance = _instance.open_instance(prepared, manifest)
seal(_instance.SANDBOX)
os._exit(0 if instance.hooks == manifest.hook_bits else 2)
"""


def test_it_works_without_root(faulty_c: Any) -> None:
    """The sandbox of a user: no capability to drop, no other user to become; in a fresh process, as the zygote is."""
    folder, _ = faulty_c
    done = subprocess.run([sys.executable, "-I", "-c", AS_A_USER, folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_landlock_a_c_plugin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sandbox, "restrict", lambda: 0)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            confine(_instance.SANDBOX, 64)
        except OSError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with open(reader, "rb") as said:  # noqa: PTH123 (a descriptor)
        assert b"no Landlock" in said.read()
