"""A real hub for a real browser: `kubeshark serve` in a process of its own."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("kubeshark")
WAIT_S = 60.0


class HubProcess:
    """Serves a store in `home`; may be ended and begun again on the same port."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home, self.options = home, options
        self.store = home / "store"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("KUBESHARK_")} | {
            "HOME": str(home),
            "KUBESHARK_IDENTITY": str(home / "identity.age"),
            "KUBESHARK_PLUGINS": str(home / "plugins"),
            "KUBESHARK_HUB": str(home / "hub"),
        }
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [COMMAND, *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        port = self.url.split(":")[2].split("/")[0] if self.url else "0"
        self._process = subprocess.Popen(
            [COMMAND, "serve", "--store", str(self.store), "--port", port, *self.options],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            assert selector.select(WAIT_S), "the hub does not start"
        said = self._process.stdout.readline()
        found = re.search(r"http://\S+", said)
        assert found, said
        self.url = found.group()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None
