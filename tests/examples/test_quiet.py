"""The quiet example: packets of its ports are not stored, others are marked, and no bytes break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.cli import main
from kubeshark.errors import PluginCrashed
from kubeshark.extension_api import Packet, PacketVerdict
from kubeshark.hosts import ForeignPlugin
from kubeshark.pipeline.plugins._trial import Trial
from tests.core_capture.reference._packets import A6, B6, ethernet, tcp, udp, vlan

KEEP, DROP, MARK = PacketVerdict.KEEP, PacketVerdict.DROP, PacketVerdict.MARK


@pytest.fixture(scope="module")
def folder(copy_of: Callable[[str], Path]) -> Path:
    return copy_of("cpp/quiet")


@pytest.fixture(scope="module")
def plugin(folder: Path) -> Iterator[ForeignPlugin]:
    with Trial(folder, {"drop": ["22", "9000"], "mark": ["53"]}) as trial:
        assert trial.foreign is not None
        yield trial.foreign


def ask(plugin: ForeignPlugin, *packets: tuple[int, bytes]) -> list[Any]:
    return list(plugin.packet_filter([Packet(data, 0, len(data), link_type) for link_type, data in packets]))


def test_ports_in_every_wrapping(plugin: ForeignPlugin) -> None:
    ssh, web, names = tcp(b"x", 1, "PA", (40_000, 22)), tcp(b"x", 1, "PA", (40_000, 80)), udp(b"x", (53, 40_000))
    six = tcp(b"x", 1, "PA", (22, 40_000), (A6, B6))
    assert ask(plugin, (101, ssh), (101, web), (101, names)) == [DROP, KEEP, MARK]
    assert ask(plugin, (1, ethernet(0x0800, ssh)), (1, ethernet(0x86DD, six)), (101, six)) == [DROP] * 3
    assert ask(plugin, (1, ethernet(0x8100, vlan(7, 0x0800, ssh))), (1, ethernet(0x0806, ssh))) == [DROP, KEEP]
    assert ask(plugin, (113, ssh), (1, b""), (101, b"\x45")) == [KEEP] * 3


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from([1, 101, 0]), st.binary(max_size=80)), min_size=1, max_size=30))
def test_any_bytes(plugin: ForeignPlugin, packets: list[tuple[int, bytes]]) -> None:
    crashes = plugin.status.crashes
    assert set(ask(plugin, *packets)) <= {KEEP, DROP, MARK, None}
    assert plugin.status.crashes == crashes


def test_it_refuses_what_is_no_port(folder: Path) -> None:
    with pytest.raises(PluginCrashed, match="http is not a port"):
        Trial(folder, {"drop": ["http"]}, build=False)


def test_an_import(
    folder: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is dropped is in the totals, and nowhere in the store."""
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(tmp_path / "id.age"))
    store = ("--store", str(tmp_path / "store"))
    assert main(["plugin", "install", str(folder), "--allow-unsigned"]) == 0
    assert main(["plugin", "set", "quiet", "drop=53"]) == 0
    assert main(["import", str(root / "examples" / "captures" / "sample.pcapng"), *store]) == 0
    said = capsys.readouterr().out
    dropped = int(said.rpartition("; ")[2].partition(" dropped by plugins")[0].replace(",", ""))
    assert dropped > 10
    assert f"imported {1360 - dropped:,} packets" in said
    assert main(["query", "dst.port == 53 || dns", "--fields", "id", "--output", "jsonl", *store]) == 0
    assert capsys.readouterr().out == ""
    assert main(["plugin", "run-job", "quiet", "report"]) == 0
    assert capsys.readouterr().out.splitlines() == ["1 ports are not stored", "0 packets seen"]
