"""docs/worker.md is executed: one shell after the other, with a worker that runs beside it."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "kubeshark")
PORT = "8898"


class Shell:
    """Runs the commands of the page; what ends with & runs until the end of the test."""

    def __init__(self, folder: Path, port: str) -> None:
        self._folder, self._port = folder, port
        self._environment = dict(os.environ)
        self.running: list[subprocess.Popen[str]] = []

    def run(self, line: str) -> str:
        name, *arguments = shlex.split(line.replace(PORT, self._port))
        if name == "export":
            self._environment |= [tuple(arguments[0].split("=", 1))]  # type: ignore[list-item]
            return ""
        assert name == "kubeshark"
        if arguments[-1] == "&":
            process = subprocess.Popen(
                [*COMMAND, *arguments[:-1]], cwd=self._folder, env=self._environment, stdout=subprocess.PIPE, text=True
            )
            self.running.append(process)
            assert process.stdout
            said = process.stdout.readline()
        else:
            done = subprocess.run(
                [*COMMAND, *arguments],
                cwd=self._folder,
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
            )
            said = done.stdout + done.stderr
        return said.replace(self._port, PORT)


@pytest.fixture
def shell(root: Path, tmp_path: Path) -> Iterator[Shell]:
    (tmp_path / "examples").symlink_to(root / "examples")
    subprocess.run([*COMMAND, "keys", "new"], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    made = Shell(tmp_path, port)
    yield made
    for process in made.running:
        process.terminate()
        process.communicate(timeout=30)


def test_the_page_is_true(root: Path, shell: Shell) -> None:
    page = (root / "docs" / "worker.md").read_text()
    blocks = re.findall(r"<!-- tested -->\n```console\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    for command in (each for block in blocks for each in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]):
        line, _, expected = command.partition("\n")
        assert shell.run(line).strip() == expected.strip(), line
