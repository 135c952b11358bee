"""A capture needs one capability, and gives it up: asked of the kernel, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kubeshark.core_capture.live._privileges import FILES, NET_RAW, effective
from tests.core_capture.live._cable import FAR, Sender

OPEN = f"""
import sys, threading
from kubeshark.core_capture.live import LiveSource, drop_privileges
source = LiveSource(["{FAR}"])
print("opened", source.reader_name)
print("others", drop_privileges())
status = []
threading.Thread(target=lambda: status.append(open("/proc/thread-self/status").read())).start()
while not status: pass
print(*(line for line in status[0].splitlines() if line.startswith(("Cap", "NoNew"))), sep="\\n")
try:
    LiveSource(["{FAR}"])
except Exception as error:
    print(type(error).__name__, error)
source.stop()
print("read", sum(batch.count for batch in source))
"""
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
SEARCH = 2  # CAP_DAC_READ_SEARCH: this checkout may lie where nobody else reads


def python(*before: str) -> dict[str, str]:
    """Run OPEN; return its lines by first word."""
    command = [*before, sys.executable, "-c", OPEN]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "HOME": "/"})
    assert done.returncode == 0, done.stderr
    return dict(line.replace(":", "").split(None, 1) for line in done.stdout.splitlines())


def test_root_keeps_only_what_opens_files(sender: Sender) -> None:
    said = python()
    assert said["opened"] == "ring"
    assert said["others"] == "0"
    kept = sum(1 << number for number in effective() & FILES)
    for name in ("CapPrm", "CapEff"):
        assert int(said[name], 16) == kept
    for name in ("CapInh", "CapAmb", "CapBnd"):
        assert int(said[name], 16) == 0
    assert said["NoNewPrivs"] == "1"
    assert "CAP_NET_RAW" in said["CaptureError"]
    assert "setcap cap_net_raw+ep" in said["CaptureError"]
    assert said["read"] == "0"


def test_one_capability_is_enough(sender: Sender) -> None:
    """A user with CAP_NET_RAW alone (and one to read this checkout) listens promiscuously, and then has none."""
    if NET_RAW not in effective():
        pytest.skip("needs root")
    allowed = "+net_raw,+dac_read_search"
    said = python(
        *NOBODY,
        "--inh-caps",
        f"-all,{allowed}",
        "--ambient-caps",
        f"-all,{allowed}",
        "--bounding-set",
        f"-all,{allowed}",
    )
    assert said["opened"] == "ring"
    for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert int(said[name], 16) & ~(1 << SEARCH) == 0, name
    assert "CAP_NET_RAW" in said["CaptureError"]


def test_without_it_one_line_says_what_to_do(sender: Sender) -> None:
    if NET_RAW not in effective():
        pytest.skip("needs root")
    command = [*NOBODY, "--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"]
    command += [sys.executable, "-m", "kubeshark", "capture", "-i", FAR]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "HOME": "/"})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"kubeshark: capturing on {FAR} needs the capability CAP_NET_RAW: run it as root" in done.stderr
