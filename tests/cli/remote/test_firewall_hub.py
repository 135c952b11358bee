"""`kubeshark firewall … --hub`: what a hub without workers says, and what such a hub cannot do. Nodes: test_fleet."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hub._serving import serving

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def kubeshark(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    home = tmp_path_factory.mktemp("hub")
    with serving(home / "store", root, home) as hub:

        def run(*arguments: str | Path) -> tuple[int, str, str]:
            command = [sys.executable, "-m", "kubeshark", "firewall", *map(str, arguments)]
            done = subprocess.run(
                [*command, "--hub", f"http://{hub.address}:{hub.port}"],
                env={"HOME": str(home), "PATH": "/usr/bin:/bin", "KUBESHARK_TOKEN": hub.token},
                capture_output=True,
                text=True,
                check=False,
            )
            return done.returncode, done.stdout, done.stderr

        yield run


def test_apply_get_rollback_delete(kubeshark: Run, root: Path) -> None:
    example = root / "examples" / "firewall" / "web.yaml"
    assert kubeshark("apply", example, "--dry-run")[1].endswith("nothing was changed\n")
    code, out, err = kubeshark("apply", example, "--ttl", "1h", "--confirm-within", "60s")
    assert code == 3 and "no workers: nothing is enforced anywhere" in err and "revision 1" in out
    assert "unless confirmed" in out
    assert kubeshark("get", "shop-web")[1] == example.read_text()
    [row] = json.loads(kubeshark("get", "--output", "json")[1])
    assert 0 < row["ttl_left"] <= 3600 and row["nodes"] == []
    assert "no worker enforces" in kubeshark("get")[1]
    assert kubeshark("confirm")[0] == 3
    assert kubeshark("confirm")[0] == 2
    assert "revision 1, 0 nodes" in kubeshark("status")[1]
    assert kubeshark("delete", "shop-web")[0] == 3
    assert kubeshark("delete", "shop-web")[0] == 2
    assert kubeshark("rollback")[0] == 3
    assert kubeshark("events") == (0, "", "")


def test_what_is_for_one_machine(kubeshark: Run, root: Path) -> None:
    example = root / "examples" / "firewall" / "web.yaml"
    assert "not for a hub" in kubeshark("apply", example, "--replace")[2]
    assert "its own inventory" in kubeshark("apply", example, "--inventory", "x.yaml")[2]
    assert kubeshark("apply", example, "--ttl", "soon")[0] == 2
