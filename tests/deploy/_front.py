"""The front of the deployment: its own start script and configuration, around this machine's nginx."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FILES = ("start", "front.conf")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def install(root: Path, folder: Path, port: int) -> Path:
    """Put the front's files into a folder as the image has them; return the script that starts it."""
    if shutil.which("nginx") is None:
        pytest.skip("no nginx: on Debian, apt-get install nginx-light")
    (folder / "tmp").mkdir(parents=True)
    (folder / "static").symlink_to(root / "hub/page")
    for name in FILES:
        text = (root / "deploy/images/front" / name).read_text()
        text = text.replace("/tmp/", f"{folder}/tmp/").replace("/usr/share/kubeshark", str(folder))
        text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};")
        if os.getuid() == 0:  # as another user its children could not read this folder
            text = text.replace("daemon off;", "daemon off; user root;")
        (folder / name).write_text(text)
    return folder / "start"


@contextmanager
def front(root: Path, folder: Path, hub: str, base: str) -> Iterator[str]:
    """Run it before a hub (HOST:PORT); yield where it is, without the base path."""
    port = free_port()
    script = install(root, folder, port)
    environment = {**os.environ, "KUBESHARK_HUB": hub, "KUBESHARK_BASE_PATH": base}
    process = subprocess.Popen(["sh", str(script)], env=environment)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "nginx did not start"
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
