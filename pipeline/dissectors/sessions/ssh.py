"""SSH's clear beginning (RFC 4253): identifications, offered and chosen algorithms, the host key. On any port.

Both ends may speak first; whoever did is the request of an exchange. The rest is encrypted and gives no entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from kubeshark.extension_api import (
    CLIENT,
    SERVER,
    Classifier,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
)
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.sessions._ssh_packets import (
    KEXINIT,
    Identification,
    KexInit,
    Packet,
    fingerprint,
    identification,
    packets,
    read_kexinit,
)

__all__ = ["SSH", "dissect", "probe", "protocols"]

PORTS = (22,)
PROBE_BYTES = 8 << 10

SSH = ProtocolSpec(
    name="ssh",
    abbr="SSH",
    long_name="Secure Shell",
    version="2.0",
    ports=PORTS,
    priority=8,
    background="#334155",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc4253",
    matcher="key",
    classifiers=(Classifier("tcp", PORTS), Classifier("tcp", prefix=b"SSH-")),
    variables={
        "ssh_type": "string",
        "ssh_software": "string",
        "ssh_version": "string",
        "ssh_client_software": "string",
        "ssh_server_software": "string",
        "ssh_kex": "string",
        "ssh_host_key_algorithm": "string",
        "ssh_cipher": "string",
        "ssh_mac": "string",
        "ssh_compression": "string",
        "ssh_hassh": "string",
        "ssh_hassh_server": "string",
        "ssh_host_key_fingerprint": "string",
        "ssh_request_size": "int",
        "ssh_response_size": "int",
        "ssh_total_size": "int",
    },
)

_KEY_EXCHANGE = range(30, 50)  # messages whose meaning the method gives (RFC 4250 §4.1.2)
_REPLIES = (31, 33)
_CHOSEN = {
    "ssh_kex": "kex",
    "ssh_host_key_algorithm": "host_key",
    "ssh_cipher": "cipher_to_server",
    "ssh_mac": "mac_to_server",
    "ssh_compression": "compression_to_server",
}


def _is_ssh(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    heads = [bytes(side.data[:4]) for side in stream.sides]
    if b"SSH-" in heads:
        return any(identification(bytes(side.data[:PROBE_BYTES])) for side in stream.sides)
    if stream.server.port not in PORTS or not heads[SERVER].isascii():
        return False
    return identification(bytes(stream.sides[SERVER].data[:PROBE_BYTES])) is not None


class _Side:
    """What one side said in clear."""

    def __init__(self, side: StreamSide) -> None:
        wire = Wire(side)
        self.side = side
        self.banner = identification(wire.data)
        self.kexinit: KexInit | None = None
        self.kexinit_at: Packet | None = None
        self.exchanges: list[Packet] = []
        if self.banner is None or not self.banner.version.startswith(("2", "1.99")):
            return
        end = wire.gaps[0][0] if wire.gaps else len(wire.data)  # behind a gap nobody knows where packets begin
        for packet in packets(wire.data, self.banner.end, end):
            if packet.number == KEXINIT and self.kexinit_at is None:
                self.kexinit_at, self.kexinit = packet, read_kexinit(packet.payload)
            elif packet.number in _KEY_EXCHANGE:
                self.exchanges.append(packet)

    def order(self, offset: int) -> int:
        return self.side.packet_at(offset)


def _messages(stream: Stream) -> Iterator[Message]:
    sides = [_Side(side) for side in stream.sides]
    chosen = _chosen(sides[CLIENT].kexinit, sides[SERVER].kexinit)
    for kind, way in _by_time(sides, {way: side.banner.start for way, side in enumerate(sides) if side.banner}):
        banner = sides[way].banner
        assert banner is not None
        yield _banner(banner, way, kind)
    for kind, way in _by_time(sides, {way: side.kexinit_at.start for way, side in enumerate(sides) if side.kexinit_at}):
        packet = sides[way].kexinit_at
        assert packet is not None
        yield _kexinit(packet, sides[way].kexinit, way, kind, chosen)
    for way, side in enumerate(sides):
        for packet in side.exchanges:
            yield _exchange(packet, way)


def _by_time(sides: Sequence[_Side], starts: Mapping[int, int]) -> Iterator[tuple[MessageKind, int]]:
    """Yield which sides sent something at these offsets, the earlier one as request."""
    ways = sorted(starts, key=lambda way: (sides[way].order(starts[way]), way))
    yield from zip((MessageKind.REQUEST, MessageKind.RESPONSE), ways, strict=False)


def _chosen(client: KexInit | None, server: KexInit | None) -> dict[str, str]:
    """Return the algorithms both sides agree on, none before both have offered theirs."""
    if client is None or server is None:
        return {}
    return {variable: client.chosen(server, name) for variable, name in _CHOSEN.items()}


def _size(kind: MessageKind, size: int) -> dict[str, Value]:
    return {"ssh_request_size" if kind == MessageKind.REQUEST else "ssh_response_size": size}


def _banner(banner: Identification, way: int, kind: MessageKind) -> Message:
    end = "client" if way == CLIENT else "server"
    fields: dict[str, Value] = {
        "ssh_type": "identification",
        "ssh_version": banner.version,
        f"ssh_{end}_software": banner.software,
        **({"ssh_software": banner.software} if way == SERVER else {}),
        **_size(kind, banner.end - banner.start),
    }
    document = {
        "type": "identification",
        "sender": end,
        "version": banner.version,
        "software": banner.software,
        "comment": banner.comment,
    }
    return Message(
        kind, way, banner.start, banner.end, fields=fields, key="identification", detail=partial(_detail, document)
    )


def _kexinit(packet: Packet, offer: KexInit | None, way: int, kind: MessageKind, chosen: Mapping[str, str]) -> Message:
    fields: dict[str, Value] = {"ssh_type": "algorithms", **chosen, **_size(kind, packet.end - packet.start)}
    document: dict[str, Any] = {"type": "algorithms", "sender": "client" if way == CLIENT else "server"}
    error = ""
    if offer is None:
        word = "malformed" if packet.is_whole else "truncated"
        error = f"{word}: the lists of algorithms do not fit into {packet.end - packet.start} bytes"
    else:
        variable = "ssh_hassh" if way == CLIENT else "ssh_hassh_server"
        fields[variable] = document["hassh"] = offer.hassh(of_client=way == CLIENT)
        document |= offer.lists
    document["chosen"] = dict(chosen)
    return Message(
        kind,
        way,
        packet.start,
        packet.end,
        fields=fields,
        key="algorithms",
        error=error,
        detail=partial(_detail, document),
    )


def _exchange(packet: Packet, way: int) -> Message:
    kind = MessageKind.REQUEST if way == CLIENT else MessageKind.RESPONSE
    fields: dict[str, Value] = {"ssh_type": "key exchange", **_size(kind, packet.end - packet.start)}
    document: dict[str, Any] = {"type": "key exchange", "message": packet.number, "size": packet.end - packet.start}
    if way == SERVER and packet.number in _REPLIES:
        algorithm, shown = fingerprint(packet.payload)
        if shown:
            fields["ssh_host_key_fingerprint"] = document["hostKeyFingerprint"] = shown
            document["hostKeyAlgorithm"] = algorithm
    error = "" if packet.is_whole else f"truncated: only {packet.end - packet.start} bytes were captured"
    return Message(
        kind,
        way,
        packet.start,
        packet.end,
        fields=fields,
        key="key exchange",
        error=error,
        detail=partial(_detail, document),
    )


def _detail(document: Mapping[str, Any]) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    return {}, document


protocols, probe, dissect = one_protocol(SSH, _is_ssh, _messages)
