"""What is judged of recorded connections: first packets, with all that goes along."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.errors import Damaged, KubesharkError
from kubeshark.firewall.recorded._items import _quoted, make_items
from kubeshark.firewall.recorded._simulate import address_text
from tests.firewall._recorded import flow, of_file, recorded


def told(items: object, at: int) -> tuple[str, str, int, int]:
    row = items.asked[at]  # type: ignore[attr-defined]
    version = int(row["version"])
    ends = [address_text(row[end].tobytes(), version) for end in ("src", "dst")]
    return ends[0], ends[1], int(row["protocol"]), int(row["dst_port"])


def test_a_connection_is_asked_for_by_its_client() -> None:
    items = make_items(recorded([flow("10.0.0.9", "10.0.0.1", 443), flow("fd00::1", "fd00::2", 53, 17)]), [])
    assert told(items, 0) == ("10.0.0.9", "10.0.0.1", 6, 443)
    assert told(items, 1) == ("fd00::1", "fd00::2", 17, 53)
    assert items.packets.tolist() == [5, 5] and items.bytes.tolist() == [500, 500]


def test_protocols_without_state_are_asked_for_both_ways() -> None:
    items = make_items(
        recorded([flow("10.0.0.1", "10.0.0.2", 0, 47), flow("10.0.0.1", "10.0.0.3", 0, 50, packets=[4, 0])]), []
    )
    assert [(told(items, at), int(items.packets[at])) for at in range(3)] == [
        (("10.0.0.1", "10.0.0.2", 47, 0), 3),
        (("10.0.0.1", "10.0.0.3", 50, 0), 4),
        (("10.0.0.2", "10.0.0.1", 47, 0), 2),
    ]


def test_icmp_is_read_from_packets(root: Path) -> None:
    [connections] = of_file(root / "examples" / "captures" / "sample.pcapng")
    items = make_items(connections, [])
    icmp = [
        (told(items, at), int(items.asked["icmp_type"][at]), int(items.packets[at]))
        for at in range(len(items))
        if items.asked["protocol"][at] in (1, 58)
    ]
    by_type = {}
    for (_, _, protocol, _), kind, packets in icmp:
        by_type[protocol, kind] = by_type.get((protocol, kind), 0) + packets
    assert by_type[1, 8] and by_type[58, 128] and by_type[58, 135]
    assert (1, 0) not in by_type and (58, 129) not in by_type  # replies go with their requests
    assert (1, 3) not in by_type  # an error goes with the connection that it quotes
    assert items.packets.sum() == connections.flows["packets"].sum()


def test_damage_leaves_out_icmp_alone() -> None:
    class Broken:
        name, link_type = "s", 1

        def gathered(self, rows: object) -> None:
            raise Damaged("torn")

    batch = recorded([flow("10.0.0.9", "10.0.0.1", 443), flow("10.0.0.9", "10.0.0.1", 0, 1)])
    batch.segment = Broken()
    problems: list[KubesharkError] = []
    assert len(make_items(batch, problems)) == 1
    assert len(problems) == 1


@pytest.mark.parametrize("data", [b"", b"\x45", b"\x40" * 20, b"\x60" + b"\0" * 38, b"\x45" + b"\0" * 30])
def test_what_errors_quote_may_be_anything(data: bytes) -> None:
    assert _quoted(data) is None


def test_what_errors_quote() -> None:
    header = bytes.fromhex("4500001c00000000401100000a0000020a0000010035c350")
    assert _quoted(header) == (b"\x0a\0\0\x01".ljust(16, b"\0"), b"\x0a\0\0\x02".ljust(16, b"\0"), 50000, 53, 17)
