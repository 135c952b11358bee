"""The API server that these tests run is of one release, all of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path


def test_every_staging_module_is_of_the_same_release(root: Path) -> None:
    text = (root / "tests/cluster/apiserver/go.mod").read_text()
    (release,) = re.findall(r"^\tk8s\.io/kubernetes v1\.(\d+\.\d+)$", text, re.MULTILINE)
    needed = set(re.findall(r"^\t(k8s\.io/[a-z-]+) v0\.(?:0\.0|\d+\.\d+)(?: // indirect)?$", text, re.MULTILINE))
    pinned = dict(re.findall(r"^\t(k8s\.io/\S+) => \1 v0\.(\S+)$", text, re.MULTILINE))
    assert len(needed) > 20
    assert needed <= pinned.keys()
    assert set(pinned.values()) == {release}


def test_the_script_says_what_it_lacks(root: Path, tmp_path: Path) -> None:
    """A machine without Go, and with one that is too old."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "dirname", "sed", "cat", "sha256sum", "cut", "env"):
        (tools / tool).symlink_to(Path("/usr/bin") / tool)
    scripts = tmp_path / "tree" / "scripts"
    scripts.mkdir(parents=True)
    (scripts / "kube_apiserver.sh").write_bytes((root / "scripts/kube_apiserver.sh").read_bytes())
    (tmp_path / "tree" / "tests").symlink_to(root / "tests")
    command = ["/bin/sh", str(scripts / "kube_apiserver.sh")]
    environment = {"PATH": str(tools), "XDG_CACHE_HOME": str(tmp_path)}
    (tools / "go").write_text("#!/bin/sh\necho go1.19.8\n")
    (tools / "go").chmod(0o755)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Go 1.21 or later" in done.stderr
