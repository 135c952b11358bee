#!/usr/bin/env python3
"""Records the sample capture: real servers, real clients, a network of two namespaces. Needs root; takes < 60 s.

sudo python examples/captures/record.py
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import servers
from network import CABLE, CLIENTS, inside, two_namespaces

HERE = Path(__file__).parent
PLUGINS = HERE.parent / "plugins"
TALK_LIMIT_S = 45

CUTS = {
    PLUGINS / "js/beanstalkd/tests/beanstalkd.pcap": "tcp port 11300",
    PLUGINS / "c/tftp/tests/tftp.pcap": "udp and host 10.77.0.30",
    PLUGINS / "go/stomp/tests/stomp.pcap": "tcp port 61613",
}
"""Single-protocol captures cut out of the recording, for the tests of the example plugins."""


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("record.py makes network namespaces: run it as root")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)  # servers drop their privileges and still read here
        wanted = servers.all_servers(scratch)
        packages = servers.missing_packages(wanted)
        if packages:
            sys.exit(f"record.py needs more servers: apt-get install {' '.join(packages)}")
        recording = scratch / "recording.pcap"
        with two_namespaces(), servers.running(wanted, scratch), capturing(recording):
            subprocess.run(inside(CLIENTS, sys.executable, str(HERE / "talks.py")), check=True, timeout=TALK_LIMIT_S)
        for target, bpf in CUTS.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["tcpdump", "-r", str(recording), "-w", str(scratch / "cut.pcap"), bpf], check=True)
            shutil.copyfile(scratch / "cut.pcap", target)


@contextmanager
def capturing(target: Path) -> Iterator[None]:
    """Run tcpdump on the clients' end of the cable; whole packets, nanoseconds."""
    options = ["-i", CABLE, "-s", "0", "-Z", "root", "--time-stamp-precision=nano", "-w", str(target)]
    process = subprocess.Popen(inside(CLIENTS, "tcpdump", *options), stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        for message in process.stderr:
            if b"listening" in message:
                break
        yield
        time.sleep(1)  # what the kernel still holds
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


if __name__ == "__main__":
    main()
