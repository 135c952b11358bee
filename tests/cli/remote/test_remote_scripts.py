"""`kubeshark scripts` and `console` of a hub."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeshark.cli.remote._remote_scripts import Pusher
from kubeshark.errors import UsageError
from tests.cli._command import kubeshark
from tests.hub._serving import Hub, serving

TELL = '// Tell\nconsole.log("one");\n'


@pytest.fixture(scope="module")
def hub(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = tmp_path_factory.mktemp("hub")
    with serving(home / "store", root, home) as found:
        yield found


def run(hub: Hub, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return kubeshark(*words, "--hub", f"http://{hub.address}:{hub.port}", KUBESHARK_TOKEN=hub.token)


def test_pushed_heard_and_removed(hub: Hub, tmp_path: Path) -> None:
    assert run(hub, "scripts").stdout == 'no scripts: "kubeshark scripts --push DIR" puts some there\n'
    (tmp_path / "tell.js").write_text(TELL)
    (tmp_path / "notes.txt").write_text("no script")
    done = run(hub, "scripts", "--push", tmp_path, "--once")
    assert (done.returncode, done.stdout) == (0, f"pushed {tmp_path / 'tell.js'}\n"), done.stderr
    done = run(hub, "scripts")
    assert done.stdout.splitlines()[0] == "tell                     Tell"
    assert json.loads(run(hub, "scripts", "--output", "json").stdout)["pushed"] == ["tell.js"]
    done = run(hub, "console", "--no-follow", "--output", "jsonl", "--script", "tell")
    assert {json.loads(line)["text"] for line in done.stdout.splitlines()} == {"one"}
    assert "Tell" in run(hub, "console", "--no-follow").stdout
    done = run(hub, "scripts", "--remove", "tell.js")
    assert (done.returncode, done.stdout) == (0, "removed tell.js\n"), done.stderr
    done = run(hub, "scripts", "--remove", "tell.js")
    assert (done.returncode, "there is no such script" in done.stderr) == (2, True)


def test_changes_are_pushed_until_it_is_ended(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / "live.js"
    path.write_text(TELL)
    command = [sys.executable, "-m", "kubeshark", "scripts", "--hub", f"http://{hub.address}:{hub.port}"]
    environment = {**os.environ, "KUBESHARK_TOKEN": hub.token, "HOME": str(tmp_path)}
    with subprocess.Popen(
        [*command, "--push", str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == f"pushed {path}\n"
        path.write_text(TELL.replace("one", "two"))
        assert process.stdout.readline() == f"pushed {path}\n"
        ends = time.monotonic() + 30
        while "two" not in {line["text"] for line in hub.json("/api/v1/scripts/console?script=live")["lines"]}:
            assert time.monotonic() < ends
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert run(hub, "scripts", "--remove", "live.js").returncode == 0


def test_what_a_hub_refuses_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Refusing:
        asked = 0

        def ask(self, *_: object) -> None:
            self.asked += 1
            raise UsageError("no")

    refusing = Refusing()
    (tmp_path / "a.js").write_text(TELL)
    (tmp_path / "b.js").write_bytes(b"\xff")
    pusher = Pusher(refusing, [tmp_path])  # type: ignore[arg-type]
    first = pusher.look()
    assert [problem.rpartition(": ")[2] for problem in first] == ["no", f"{tmp_path / 'b.js'} is not UTF-8 text"]
    pusher.look()
    assert refusing.asked == 1
    (tmp_path / "a.js").write_text(TELL + "\n")
    pusher.look()
    assert refusing.asked == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("scripts", "--push", "x"), "name it: -s NAMESPACE, or --hub URL"),
        (("scripts", "--hub", "http://127.0.0.1:1", "--push", "/absent"), "/absent is no folder"),
        (("scripts", "--hub", "nowhere"), "is no hub"),
    ],
)
def test_what_cannot_be_meant(words: tuple[str, ...], said: str) -> None:
    done = kubeshark(*words, KUBESHARK_TOKEN="t" * 32)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
