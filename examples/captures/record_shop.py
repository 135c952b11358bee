#!/usr/bin/env python3
"""Records the shop: four minutes in a small web shop, lived six times faster. Needs root; takes 80 s.

sudo .venv/bin/python examples/captures/record_shop.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import HERE, capturing, write_pcapng
from servers import running
from shop import servers
from shop.cluster import BRIDGE, NAMES, SWITCH, cluster

TARGET = HERE / "shop.pcapng.zst"
WARM_UP_S = 5  # captures of a living network begin in the middle of its connections
RECORDED_S = 40


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("record_shop.py makes network namespaces: run it as root")
    packages = servers.missing_packages()
    if packages:
        sys.exit(f"record_shop.py needs more programs: apt-get install {' '.join(packages)}")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)  # servers drop their privileges and still read here
        recording, plain = scratch / "recording.pcap", scratch / "shop.pcapng"
        with cluster(), running(servers.all_servers(scratch), scratch):
            servers.fill_database()
            with running(servers.all_users(scratch), scratch):
                time.sleep(WARM_UP_S)
                with capturing(recording, SWITCH, BRIDGE):
                    time.sleep(RECORDED_S)
        write_pcapng(recording, plain, "record_shop.py", BRIDGE, NAMES)
        subprocess.run(["zstd", "-19", "-q", "-f", str(plain), "-o", str(TARGET)], check=True)


if __name__ == "__main__":
    main()
