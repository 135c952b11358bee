#!/usr/bin/env python3
"""Records the sample capture: real servers, real clients, a network of two namespaces. Needs root; takes about 40 s.

    sudo .venv/bin/python examples/captures/record.py [--plugins]

`--plugins` also cuts the captures of the example plugins' tests anew; what they expect must then be looked at again.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import servers
from network import CABLE, CLIENTS, NAMES, inside, two_namespaces

from kubeshark.core_capture import Interface, PacketExtra, RawBlock, SourceMetadata
from kubeshark.core_capture.files import PcapngWriter, open_capture

HERE = Path(__file__).parent
PLUGINS = HERE.parent / "plugins"
TALK_LIMIT_S = 50

CUTS = {
    PLUGINS / "js/beanstalkd/tests/beanstalkd.pcap": "tcp port 11300",
    PLUGINS / "c/tftp/tests/tftp.pcap": "udp and host 10.77.0.30 and not port 9999",
    PLUGINS / "go/stomp/tests/stomp.pcap": "tcp port 61613",
}
"""Single-protocol captures cut out of the recording, for the tests of the example plugins."""

# pcapng (draft-ietf-opsawg-pcapng §3.5, §4)
COMMENT, APPLICATION = 1, 4
NAME_RESOLUTION, SECRETS, SECTION = 4, 10, 0x0A0D0D0A
IPV4_NAME, IPV6_NAME = 1, 2
TLS_KEY_LOG = 0x544C534B


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("record.py makes network namespaces: run it as root")
    packages = servers.missing_packages(servers.PROGRAMS)
    if packages:
        sys.exit(f"record.py needs more programs: apt-get install {' '.join(packages)}")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)  # servers drop their privileges and still read here
        recording = scratch / "recording.pcap"
        with (
            two_namespaces(),
            servers.running(servers.all_servers(scratch), scratch),
            capturing(recording, CLIENTS, CABLE),
        ):
            talks = hold_talks(scratch / "keys.log")
        key_log = (scratch / "keys.log").read_bytes()
        secrets = RawBlock(SECRETS, struct.pack("<II", TLS_KEY_LOG, len(key_log)) + padded(key_log), 0)
        write_pcapng(recording, HERE / "sample.pcapng", "record.py", CABLE, NAMES, [secrets], talks)
        if "--plugins" in sys.argv[1:]:
            cut_for_plugins(recording, scratch)


@contextmanager
def capturing(target: Path, namespace: str, device: str) -> Iterator[None]:
    """Run tcpdump; whole packets, nanoseconds."""
    options = ["-i", device, "-s", "0", "-Z", "root", "--time-stamp-precision=nano", "-w", str(target)]
    process = subprocess.Popen(inside(namespace, "tcpdump", *options), stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        for message in process.stderr:
            if b"listening" in message:
                break
        yield
        time.sleep(1)  # what the kernel still holds
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)


def hold_talks(key_log: Path) -> list[tuple[int, str]]:
    """Run the clients; return when each talk began (ns), and its name."""
    command = inside(CLIENTS, sys.executable, str(HERE / "clients.py"))
    environment = {**os.environ, "SSLKEYLOGFILE": str(key_log)}
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=TALK_LIMIT_S, env=environment)
    began = [line.split(" ", 1) for line in run.stdout.splitlines()]
    return [(int(time_ns), name) for time_ns, name in began]


def write_pcapng(
    recording: Path,
    target: Path,
    script: str,
    device: str,
    names: dict[str, str],
    blocks: Sequence[RawBlock] = (),
    talks: Sequence[tuple[int, str]] = (),
) -> None:
    """Turn the recording into pcapng, with names of addresses, more blocks, and a comment where each talk begins."""
    about = options((COMMENT, f"Made by examples/captures/{script}".encode()), (APPLICATION, b"tcpdump, kubeshark"))
    metadata = SourceMetadata(
        "pcapng",
        interfaces=[Interface(1, 262144, units_per_second=10**9, name=device)],
        blocks=[RawBlock(SECTION, about, 0), RawBlock(NAME_RESOLUTION, name_records(names), 0), *blocks],
    )
    waiting = list(talks)
    with open_capture(recording) as reader, target.open("wb") as out, PcapngWriter(out, metadata) as writer:
        for batch in reader:
            position = 0
            while position < len(batch.data):
                seconds, nanoseconds, captured, _ = struct.unpack_from("<IIII", batch.data, position)
                end = position + 16 + captured
                extra = PacketExtra()
                if waiting and seconds * 10**9 + nanoseconds >= waiting[0][0]:
                    extra = PacketExtra(options=options((COMMENT, f"{waiting.pop(0)[1]} begins".encode())))
                writer.write_packet(batch.data[position:end], extra)
                position = end


def name_records(names: dict[str, str]) -> bytes:
    """Build the body of a name resolution block."""
    records = [
        (IPV6_NAME, socket.inet_pton(socket.AF_INET6, address) + name.encode() + b"\0")
        if ":" in address
        else (IPV4_NAME, socket.inet_aton(address) + name.encode() + b"\0")
        for address, name in names.items()
    ]
    return options(*records) + bytes(4)


def options(*codes_and_values: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack("<HH", code, len(value)) + padded(value) for code, value in codes_and_values)


def padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)


def cut_for_plugins(recording: Path, scratch: Path) -> None:
    for target, bpf in CUTS.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        cut = scratch / target.name
        subprocess.run(["tcpdump", "-r", str(recording), "-w", str(cut), bpf], check=True, stderr=subprocess.DEVNULL)
        shutil.copyfile(cut, target)


if __name__ == "__main__":
    main()
