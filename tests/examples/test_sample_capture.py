"""The sample capture says what its README promises, to us and to tshark."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kubeshark.core_capture.files import open_capture

COMMENT = b"\x01\x00"
TALKS = ("DNS", "ICMP", "HTTP", "Redis", "memcached", "NATS", "beanstalkd", "STOMP", "MQTT", "PostgreSQL", "TFTP")
PROTOCOLS = ("dns", "icmp", "http", "http2", "tls", "websocket", "resp", "memcache", "mqtt", "pgsql", "tftp")
NAME_RESOLUTION, SECRETS = 4, 10
MAX_BYTES = 2 << 20


@pytest.fixture(scope="module")
def sample(root: Path) -> Path:
    return root / "examples" / "captures" / "sample.pcapng"


def test_it_is_whole_and_small(sample: Path) -> None:
    assert sample.stat().st_size < MAX_BYTES
    with open_capture(sample) as reader:
        batches = list(reader)
    assert reader.problems == []
    assert sum(batch.count for batch in batches) > 1000
    assert {NAME_RESOLUTION, SECRETS} <= {block.block_type for block in reader.metadata.blocks}
    extras = [extra for batch in batches for _, extra in sorted(batch.extras.items())]
    comments = [extra.options[4:].rstrip(b"\0").decode() for extra in extras if extra.options.startswith(COMMENT)]
    assert comments == [f"{name} begins" for name in TALKS]


def test_it_tells_nothing_about_the_machine(sample: Path) -> None:
    contents = sample.read_bytes()
    for word in (b"/root", b"/home", b"/tmp/", b"Linux 6"):
        assert word not in contents


def test_tshark_sees_every_protocol(sample: Path) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed: apt-get install tshark")
    command = ["tshark", "-r", str(sample), "-T", "fields", "-e", "frame.protocols"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seen = {protocol for line in output.splitlines() for protocol in line.split(":")}
    assert set(PROTOCOLS) <= seen
    assert "http" in {line.split(":")[-2] for line in output.splitlines() if "tls:http:" in line}  # its secrets work


@pytest.mark.parametrize(
    ("capture", "packets"),
    [("js/beanstalkd/tests/beanstalkd.pcap", 50), ("c/tftp/tests/tftp.pcap", 40), ("go/stomp/tests/stomp.pcap", 80)],
)
def test_cuts_for_plugins_are_whole(root: Path, capture: str, packets: int) -> None:
    with open_capture(root / "examples" / "plugins" / capture) as reader:
        assert sum(batch.count for batch in reader) >= packets
    assert reader.problems == []
