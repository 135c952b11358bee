"""What all entries of one stream share: its ends, its hash, where it was captured, and how TCP fared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

import numpy as np

from kubeshark.core_capture import FlowBit, Tunnel
from kubeshark.extension_api import Endpoint, Message, MessageKind, ProtocolSpec
from kubeshark.pipeline.entries._display import Display
from kubeshark.pipeline.entries._once import once
from kubeshark.pipeline.kfl import VARIABLES, Variable
from kubeshark.pipeline.names._named import Names
from kubeshark.pipeline.reading._segments import FlowPart, node_of
from kubeshark.pipeline.reading._streams import TRANSPORT_NAMES, FlowSide, FlowStream, endpoints

__all__ = ["Origin", "StreamFacts", "resolution", "stream_id"]

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
TCP_MILESTONES = {"SYN": (SYN | ACK, SYN), "SYN ACK": (SYN | ACK, SYN | ACK), "FIN": (FIN, FIN), "RST": (RST, RST)}
RESET, FINISHED = (  # by the side that sent it, a and b; as numbers, because enums are slow
    (int(FlowBit.RST_A), int(FlowBit.RST_B)),
    (int(FlowBit.FIN_A), int(FlowBit.FIN_B)),
)


HANDSHAKE = 4  # packets
NO_ISN = bytes(8)
# of a FLOW row, the rest left out: numpy takes longer for one of its fields than this for all
_NAMED_BY = Struct("<37s19x8s32x8s")  # both ends with their transport, first_ns, isn
_VLAN = Struct("<40xH62x")


NOBODY = Display()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a query's packets come from, which KFL variables its entries have, and who shows them."""

    source: str = "file"  # KFL capture_source
    file: str = ""  # path as given to `dissect`
    variables: Mapping[str, Variable] = VARIABLES
    display: Display = NOBODY
    names_nodes: bool = False  # it reads the stores of several nodes
    names: Names | None = None  # who had an address when
    _protocols: dict[int, tuple[ProtocolSpec, dict[str, Any]]] = field(default_factory=dict, compare=False)

    def protocol_document(self, spec: ProtocolSpec) -> dict[str, Any]:
        """Return a protocol as entries show it (entries.md §2). Worked out once; `spec` is kept with it: ids recur."""
        known = self._protocols.get(id(spec))
        if known is None:
            known = self._protocols[id(spec)] = spec, _protocol_document(spec)
        return known[1].copy()


@dataclass(eq=False)
class StreamFacts:
    """Facts of one flow. `stream_data` is None for a flow known from the index alone (a tunnel's carrier)."""

    row: Any  # FLOW
    stream_data: FlowStream | None
    parts: tuple[FlowPart, ...]  # where its packets lie, in time order
    origin: Origin
    seen: tuple[str, ...] = ()  # other nodes that have the same connection, left out here

    def __post_init__(self) -> None:
        self.client: Endpoint
        self.server: Endpoint
        if stream := self.stream_data:
            self.client, self.server, self.transport = stream.client, stream.server, stream.transport
        else:
            self.client, self.server = endpoints(self.row)
            self.transport = TRANSPORT_NAMES.get(int(self.row["transport"]), "ip")

    @once
    def stream(self) -> str:
        """16 hex digits, equal for all entries of a connection, also over segments."""
        return stream_id(self.row)

    @once
    def conn_id(self) -> int:
        return int(self.stream, 16) >> 1  # KFL integers are signed 64-bit

    @once
    def flow_id(self) -> int:
        """Equal for all connections of the same two hosts, server port and transport."""
        text = f"{self.client.ip} {self.server.ip} {self.server.port} {self.transport}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

    @once
    def nodes(self) -> list[str]:
        """The nodes that saw the connection, the one whose copy this is first; none where one store is read."""
        if not self.origin.names_nodes:
            return []
        return list(dict.fromkeys((*(node_of(part.segment) for part in self.parts), *self.seen)))

    @property
    def node(self) -> str:
        """KFL worker."""
        return self.nodes[0] if self.nodes else ""

    @property
    def captured_on(self) -> str:
        """The node that wrote its first packets into the store."""
        return self.node or (node_of(self.parts[0].segment) if self.parts else "")

    @property
    def is_decrypted(self) -> bool:
        """These bytes were encrypted on the wire."""
        return self.stream_data is not None and self.stream_data.is_decrypted

    @property
    def source(self) -> str:
        """KFL capture_source."""
        if self.stream_data is not None and self.stream_data.is_probed:
            return "ebpf_tls"
        return "keylog" if self.is_decrypted else self.origin.source

    @once
    def vlan(self) -> int:
        vlan: int = _VLAN.unpack(self.row)[0]
        return vlan

    @property
    def tunnel(self) -> str:
        tunnel = Tunnel(int(self.row["tunnel"]))
        return tunnel.name.lower() if tunnel else ""

    def vlan_document(self) -> dict[str, Any] | None:
        return {"id": self.vlan, "dot1q": True} if self.vlan else None

    @once
    def retransmissions(self) -> int:
        return self._sum(lambda side: side.direction.retransmissions)

    @once
    def out_of_order(self) -> int:
        return self._sum(lambda side: side.direction.out_of_order)

    @once
    def gaps(self) -> int:
        return self._sum(lambda side: len(side.gaps))

    def _sum(self, count: Callable[[FlowSide], int]) -> int:
        """Count something of a TCP stream on both sides."""
        sides = self.stream_data.flow_sides if self.stream_data else ()
        return count(sides[0]) + count(sides[1]) if sides else 0

    @once
    def rtt_us(self) -> int:
        """Microseconds from SYN to SYN+ACK, 0 where the handshake was not captured."""
        if self.stream_data is None or self.transport != "tcp":
            return 0
        flags, mine = self.stream_data.decoded.packets["flags"], self.stream_data.streams.packets
        flags_of = flags.item
        bits = bytes([flags_of(packet) & (SYN | ACK) for packet in mine[:HANDSHAKE].tolist()])  # nearly always there
        if not (SYN in bits and SYN | ACK in bits):
            bits = (flags[mine] & (SYN | ACK)).tobytes()  # a byte a packet
        syn, syn_ack = bits.find(SYN), bits.find(SYN | ACK)
        if syn < 0 or syn_ack < 0:
            return 0
        times = self.stream_data.times
        return max(0, int(times.item(mine.item(syn_ack))) - int(times.item(mine.item(syn)))) // 1_000

    def time_at(self, direction: int, offset: int) -> int:
        """Return nanoseconds of the packet that first carried this byte of a TCP stream's side; 0 without streams."""
        return (
            int(self.stream_data.sides[direction].time_at(offset)) if self.stream_data and self.stream_data.sides else 0
        )

    def milestones(self) -> list[tuple[int, MessageKind, int, str]]:
        """(nanoseconds, EVENT, who, what) of what made a difference to the connection: each thing's first packet."""
        if self.stream_data is None:
            return []
        packets = self.stream_data.decoded.packets[self.stream_data.streams.packets]
        senders, flags = packets["direction"] ^ int(self.row["client"]), packets["flags"]
        found = []
        for who in (0, 1):
            sent = senders == who
            seen = {"first data": packets["payload_length"] > 0}
            if self.transport == "tcp":
                seen |= {name: flags & bits == value for name, (bits, value) in TCP_MILESTONES.items()}
            for name, these in seen.items():
                at = np.flatnonzero(these & sent)
                if len(at):
                    found.append((int(packets["time_ns"][at[0]]), MessageKind.EVENT, who, name))
        return found

    def ends_documents(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return (client, server) as documents show them where no names are known."""
        client, server = self._ends
        return client.copy(), server.copy()

    @once
    def _ends(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return resolution(self.client), resolution(self.server)

    def network_props(self) -> dict[str, Any]:
        return self._network.copy()

    @once
    def _network(self) -> dict[str, Any]:
        if not (self.stream_data and self.stream_data.flow_sides):  # nothing is counted there
            return {"transport": self.transport, "retransmissions": 0, "outOfOrder": 0, "gaps": 0, "rttUs": 0}
        return {
            "transport": self.transport,
            "retransmissions": self.retransmissions,
            "outOfOrder": self.out_of_order,
            "gaps": self.gaps,
            "rttUs": self.rtt_us,
        }

    @once
    def frames(self) -> dict[tuple[int, str], dict[str, Any]]:
        """By protocol (id of its spec) and version: what the documents of its entries have in common."""
        return {}

    @once
    def first_end(self) -> tuple[int, str, int] | None:
        """Return who left a TCP connection first (0: the client), "reset" or "closed", and when; None: nobody seen."""
        if self.stream_data is None or self.transport != "tcp":
            return None
        packets = self.stream_data.decoded.packets[self.stream_data.streams.packets]
        ends = np.flatnonzero(packets["flags"] & (FIN | RST))
        if not len(ends):
            return None
        first = packets[ends[0]]
        how = "reset" if int(first["flags"]) & RST else "closed"
        return int(first["direction"]) ^ int(self.row["client"]), how, int(first["time_ns"])

    def is_silent(self, direction: int, after_ns: int) -> bool:
        """Say whether a side of a TCP stream sent no more bytes after a time."""
        if self.stream_data is None or not self.stream_data.sides:
            return True
        side = self.stream_data.sides[direction]
        return not len(side.data) or int(side.time_at(len(side.data) - 1)) <= after_ns

    def is_unseen(self, direction: int) -> bool:
        """Say whether no packet of that side of a TCP connection was captured: it had to send some."""
        return self.transport == "tcp" and not int(self.row["packets"][direction ^ int(self.row["client"])])

    def ended(self, by_server: bool) -> str:
        """Return "reset", "closed" or "": how that end left the connection."""
        is_b = bool(by_server == (self.row["client"] == 0))
        bits = int(self.row["bits"])
        if bits & RESET[is_b]:
            return "reset"
        return "closed" if bits & FINISHED[is_b] else ""

    def bytes_of(self, message: Message) -> bytes:
        """Return a copy of a message's bytes."""
        if self.stream_data is None:
            return b""
        if self.stream_data.sides:
            data = self.stream_data.sides[message.direction].data
        else:
            data = self.stream_data.datagrams[message.datagram].data
        return bytes(data[message.start : message.end])


def _protocol_document(spec: ProtocolSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "version": spec.version,
        "abbr": spec.abbr,
        "longName": spec.long_name,
        "macro": spec.flag,
        "backgroundColor": spec.background,
        "foregroundColor": spec.foreground,
        "fontSize": 12,
        "referenceLink": spec.reference,
        "ports": [str(port) for port in spec.ports],
        "layer4": spec.layer4,
        "layer3": "ip",
        "priority": spec.priority,
    }


UNKNOWN: dict[str, Any] = {
    "ip": "",
    "port": "",
    "name": "",
    "namespace": "",
    "pod": None,
    "endpointSlice": None,
    "service": None,
    "cgroupId": 0,
    "containerId": "",
    "socketId": 0,
    "processId": 0,
    "parentProcessId": 0,
    "hostProcessId": 0,
    "hostParentProcessId": 0,
    "processName": "",
    "processPath": "",
    "cpuUsage": 0,
    "memoryUsage": 0,
    "resolutionMechanism": "none",
}
"""A Resolution (entries.md §3) of nobody."""


def resolution(endpoint: Endpoint) -> dict[str, Any]:
    """Return a Resolution of which only the address is known."""
    document = UNKNOWN.copy()
    document["ip"], document["port"] = endpoint.ip, str(endpoint.port)
    return document


def stream_id(row: Any) -> str:
    """Return the KFL `stream` of a connection whose first part has this FLOW row: a hash of its ends and its start."""
    ends, first_ns, isn = _NAMED_BY.unpack(row)
    return hashlib.blake2b(ends + (first_ns if isn == NO_ISN else isn), digest_size=8).hexdigest()
