"""The entry of a connection, from its row of the flow table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kubeshark.core_capture import FLOW, FlowBit
from kubeshark.pipeline.dissectors import CONN, conn_message

NETWORK = {"transport": "tcp", "retransmissions": 1, "outOfOrder": 2, "gaps": 0, "rttUs": 310}
BOTH_FIN = FlowBit.FIN_A | FlowBit.FIN_B


def row(bits: int = 0, *, client: int = 0, transport: int = 6) -> Any:
    flow = np.zeros(1, FLOW)[0]
    flow["bits"], flow["client"], flow["transport"] = bits, client, transport
    flow["packets"], flow["bytes"] = (3, 2), (300, 200)
    flow["first_ns"], flow["last_ns"] = 1_773_525_780_120_482_911, 1_773_525_781_000_000_000
    return flow


@pytest.mark.parametrize(
    ("bits", "transport", "state", "reason", "completeness"),
    [
        (FlowBit.SYN_SEEN | BOTH_FIN, 6, "closed", "fin", "complete"),
        (FlowBit.SYN_SEEN | FlowBit.FIN_A, 6, "open", "", "no end"),
        (FlowBit.RST_B, 6, "closed", "reset", "no start"),
        (FlowBit.SYN_ACK_SEEN, 6, "open", "", "no end"),
        (0, 6, "in_progress", "", "no start, no end"),
        (0, 17, "open", "", "complete"),
    ],
)
def test_state(bits: int, transport: int, state: str, reason: str, completeness: str) -> None:
    message = conn_message(row(bits, transport=transport), [], NETWORK, 9)
    assert message.detail
    document = message.detail()[1]
    assert message.fields["conn_state"] == document["state"] == state
    assert (document["closeReason"], document["completeness"]) == (reason, completeness)


def test_a_gap_is_no_middle() -> None:
    message = conn_message(row(FlowBit.SYN_SEEN | BOTH_FIN), [], NETWORK | {"gaps": 1}, 9)
    assert message.detail
    assert message.detail()[1]["completeness"] == "no middle"


@pytest.mark.parametrize(("client", "local", "remote"), [(0, (3, 300), (2, 200)), (1, (2, 200), (3, 300))])
def test_local_is_the_client(client: int, local: tuple[int, int], remote: tuple[int, int]) -> None:
    fields = conn_message(row(client=client), ["HTTP"], NETWORK, 9).fields
    assert (fields["conn_local_pkts"], fields["conn_local_bytes"]) == local
    assert (fields["conn_remote_pkts"], fields["conn_remote_bytes"]) == remote
    assert (fields["conn"], fields["conn_group_id"], fields["conn_l7_detected"]) == (True, 9, ["HTTP"])


def test_document() -> None:
    message = conn_message(row(FlowBit.SYN_SEEN | BOTH_FIN), ["HTTP"], NETWORK, 9)
    assert message.detail
    assert message.detail() == (
        {},
        {
            "state": "closed",
            "transport": "tcp",
            "localPackets": 3,
            "localBytes": 300,
            "remotePackets": 2,
            "remoteBytes": 200,
            "start": "2026-03-14T22:03:00.120482911Z",
            "end": "2026-03-14T22:03:01.000000000Z",
            "l7Detected": ["HTTP"],
            "groupId": 9,
            "closeReason": "fin",
            "retransmissions": 1,
            "outOfOrder": 2,
            "gaps": 0,
            "rttUsMin": 310,
            "rttUsAvg": 310,
            "rttUsMax": 310,
            "completeness": "complete",
        },
    )


def test_flags() -> None:
    assert {transport: spec.flag for transport, spec in CONN.items()} == {"tcp": "tcp_conn", "udp": "udp_conn"}
