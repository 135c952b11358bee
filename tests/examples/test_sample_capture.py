"""The captures hold what their README promises, for us and for tshark."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kubeshark.core_capture import load_core
from kubeshark.core_capture._records import RECORD_HEADER_BYTES
from kubeshark.core_capture.files import open_capture

COMMENT = b"\x01\x00"
TALKS = ("DNS", "ICMP", "HTTP", "Redis", "memcached", "NATS", "beanstalkd", "STOMP", "MQTT", "PostgreSQL", "TFTP")
PROTOCOLS = ("dns", "icmp", "http", "http2", "tls", "websocket", "resp", "memcache", "mqtt", "pgsql", "tftp")
NAME_RESOLUTION, SECRETS = 4, 10
MAX_BYTES = 2 << 20

ETHERNET, LARGEST_FRAME = 1, 1514
SHOP_MAX_BYTES, SHOP_PACKETS = 4 << 20, 38_360
SHOP_HTTP = {80, 7070, 8000, 8080, 8081, 8082, 8088, 9000, 9102, 9113, 15692}
SHOP_OTHERS = {22, 53, 443, 1883, 5432, 5672, 6379, 11211}  # SSH, DNS, TLS, MQTT, PostgreSQL, AMQP, Redis, memcached


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


@pytest.fixture(scope="module")
def shop(root: Path) -> Path:
    return root / "examples" / "captures" / "shop.pcapng.zst"


def test_the_shop_is_whole_and_small(shop: Path) -> None:
    assert shop.stat().st_size < SHOP_MAX_BYTES
    with open_capture(shop) as reader:
        batches = list(reader)
    assert reader.problems == []
    assert {batch.link_type for batch in batches} == {ETHERNET}
    assert sum(batch.count for batch in batches) == SHOP_PACKETS
    assert NAME_RESOLUTION in {block.block_type for block in reader.metadata.blocks}


def test_the_shop_has_every_conversation_both_ways(shop: Path) -> None:
    with open_capture(shop) as reader:
        records = b"".join(batch.data for batch in reader)
    decoded = load_core("native").decode(records, ETHERNET)
    spoken = decoded.flows[(decoded.flows["packets"] > 0).all(axis=1)]
    ports = {int(port) for end in ("port_a", "port_b") for port in spoken[end]}
    assert ports >= SHOP_HTTP | SHOP_OTHERS
    lengths = np.diff(decoded.packets["offset"].astype(np.int64)) - RECORD_HEADER_BYTES
    assert lengths.max() == LARGEST_FRAME  # nothing was left to a network card to cut


def test_the_shop_tells_nothing_about_the_machine(shop: Path) -> None:
    with open_capture(shop) as reader:
        contents = b"".join(batch.data for batch in reader)
    for word in (b"/root", b"/home", b"/tmp/", b"Linux 6"):
        assert word not in contents
