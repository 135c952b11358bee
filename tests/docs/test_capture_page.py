"""The page about live capture is executed, in a network of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

from tests.core_capture.live._cable import Sender, frame, ip, own_network


def test_the_commands_say_what_the_page_says(root: Path, tmp_path: Path) -> None:
    page = (root / "docs" / "capture.md").read_text("utf-8")
    [block] = re.findall(r"<!-- tested.*? -->\n```console\n(.*?)```", page, re.DOTALL)
    command = tmp_path / "kubeshark"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m kubeshark "$@"\n')
    command.chmod(0o755)
    with own_network():
        ipv6 = Path("/proc/sys/net/ipv6/conf")
        for which in ("all", "default"):
            if ipv6.is_dir():
                (ipv6 / which / "disable_ipv6").write_text("1")
        ip("link add eth1 type veth peer name eth0")
        for end in ("lo", "eth0", "eth1"):
            ip(f"link set {end} up")
        sender = Sender("eth1")
        try:
            run(tmp_path, "kubeshark keys list >/dev/null 2>&1; kubeshark version", sender)
            commands = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
            assert len(commands) == 4
            for text in commands:
                line, _, expected = text.partition("\n")
                said = [row for row in run(tmp_path, line, sender) if "made the identity" not in row]
                assert sorted(said) == sorted(expected.strip().splitlines()), line
        finally:
            sender.close()


def run(folder: Path, line: str, sender: Sender) -> list[str]:
    """Run a line of shell; send the packets when something captures on an interface."""
    environment = {"PATH": f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder)}
    with subprocess.Popen(
        ["sh", "-c", line], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        out: list[str] = []
        reading = threading.Thread(target=lambda stream=running.stdout: out.extend(stream))  # type: ignore[misc]
        reading.start()
        said = []
        for row in running.stderr:
            said.append(row)
            if "capturing on eth0" in row:
                sender.send(frame(number) for number in range(1000))
        reading.join()
    return [row.rstrip() for row in said + out]
