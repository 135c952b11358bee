"""The flow table against tshark's conversations, for every capture there is."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from kubeshark.core_capture._columns import Decoded, FlowBit
from kubeshark.core_capture.files import open_capture
from kubeshark.core_capture.reference import ReferenceCore
from kubeshark.errors import InputError
from tests.core_capture.reference._packets import check_decoded, check_streams

TRANSPORTS = {6: "tcp", 17: "udp"}
CORE = ReferenceCore()
TUNNELS = ("gre", "vxlan", "geneve", "erspan", "gtp", "teredo", "l2tp", "nsh", "mpls", "ipv6.routing", "ipv6.dstopts")
TUNNEL_TAGS = {f"encap-{name}" for name in TUNNELS}
UNTAGGED = {"sflow", "lisp", "lisp-data"}
End = tuple[str, int]


@cache
def decoded_capture(path: Path) -> list[Decoded]:
    """Everything in a file, by link type."""
    data: dict[int, bytearray] = defaultdict(bytearray)
    try:
        with open_capture(path) as reader:
            for batch in reader:
                data[batch.link_type] += batch.data
    except InputError:
        return []
    return [CORE.decode(records, link_type) for link_type, records in data.items()]


def truths(captures: Path) -> list[tuple[Path, dict[str, Any]]]:
    return [
        (captures / "files" / truth.name.removesuffix(".json"), json.loads(truth.read_text()))
        for truth in sorted((captures / "truth").glob("*.json"))
    ]


def end_of(address: str, port: int) -> End:
    return ip_address(address).exploded, port


def flow_ends(flow: Any) -> tuple[End, End]:
    size = 4 if flow["ip_version"] == 4 else 16
    a, b = (end_of(str(ip_address(bytes(flow[end][:size]))), int(flow[f"port_{end}"])) for end in "ab")
    return a, b


def hides_its_ends(truth: dict[str, Any]) -> bool:
    """Behind tunnels tshark lists inner and outer conversations as it pleases: only their number can be compared."""
    return bool(TUNNEL_TAGS & set(truth["tags"])) or not UNTAGGED.isdisjoint(truth["frames_by_protocol"])


def expected(truth: dict[str, Any], kind: str) -> Counter[tuple[End, ...]]:
    """Conversations, but for those that ICMP errors merely quote."""
    quoted = Counter(m["s"] for name in ("icmp", "icmpv6") for m in truth["messages"].get(name, []))
    found: Counter[tuple[End, ...]] = Counter()
    for one in truth["conversations"]:
        sides = (one[side].rsplit("|", 1) for side in "ab")
        if one["kind"] == kind and (
            hides_its_ends(truth) or quoted[f"{kind}:{one['stream']}"] < one["packets_ab"] + one["packets_ba"]
        ):
            found[tuple(sorted(end_of(address, int(port)) for address, port in sides))] += 1
    return found


@pytest.mark.parametrize(("kind", "recall", "precision"), [("tcp", 0.999, 0.997), ("udp", 0.99, 0.99)])
def test_conversations(captures: Path, kind: str, recall: float, precision: float) -> None:
    """What is left: tshark splits one RTP 5-tuple in nine, and calls BIG TCP a bogus length."""
    wanted = matched = surplus = 0
    for path, truth in truths(captures):
        want = expected(truth, kind)
        have = Counter(
            tuple(sorted(flow_ends(flow)))
            for decoded in decoded_capture(path)
            for flow in decoded.flows
            if TRANSPORTS.get(int(flow["transport"])) == kind
        )
        wanted += want.total()
        if hides_its_ends(truth):
            matched += min(want.total(), have.total())
        else:
            matched += (want & have).total()
            surplus += (have - want).total()
    assert matched / wanted >= recall
    assert matched / (matched + surplus) >= precision


def test_packets_and_payload_bytes_of_tcp_conversations(captures: Path) -> None:
    """Per direction, in files without tunnels and fragments, for 5-tuples that are one conversation."""
    compared = same = 0
    for path, truth in truths(captures):
        if hides_its_ends(truth) or truth["ip_fragment_frames"] or truth["ipv6_fragment_frames"]:
            continue
        ours = {
            flow_ends(flow): [*zip(flow["packets"].tolist(), flow["bytes"].tolist(), strict=True)]
            for decoded in decoded_capture(path)
            for flow in decoded.flows
            if flow["transport"] == 6
        }
        tuples = expected(truth, "tcp")
        for one in truth["conversations"]:
            a, b = (end_of(address, int(port)) for address, port in (one[side].rsplit("|", 1) for side in "ab"))
            if one["kind"] != "tcp" or tuples[tuple(sorted((a, b)))] != 1:
                continue
            theirs = [(one[f"packets_{way}"], one[f"tcp_payload_{way}"]) for way in ("ab", "ba")]
            compared += 1
            same += ours.get((a, b), []) == theirs or ours.get((b, a), []) == theirs[::-1]
    assert compared > 3000
    assert same / compared > 0.998


def test_every_stream_of_every_capture(captures: Path) -> None:
    """Nothing escapes, and what must hold for any input holds."""
    packets = 0
    for path, _ in truths(captures):
        for decoded in decoded_capture(path):
            check_decoded(decoded)
            check_streams(decoded, CORE.assemble(decoded, range(len(decoded.flows))))
            packets += len(decoded.packets)
    assert packets > 90_000


def test_carriers_are_only_in_captures_with_tunnels(captures: Path) -> None:
    carrying = {
        path.name
        for path, truth in truths(captures)
        if not hides_its_ends(truth)
        and any((decoded.flows["bits"] & FlowBit.CARRIER).any() for decoded in decoded_capture(path))
    }
    assert all("bigtcp" in name for name in carrying), carrying
