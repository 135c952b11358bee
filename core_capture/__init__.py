"""Bytes: capture files and interfaces, decoding, reassembly, and the encrypted store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.core_capture._columns import ARENA as ARENA
    from kubeshark.core_capture._columns import FLOW as FLOW
    from kubeshark.core_capture._columns import NO_FLOW as NO_FLOW
    from kubeshark.core_capture._columns import PACKET as PACKET
    from kubeshark.core_capture._columns import Core as Core
    from kubeshark.core_capture._columns import Decoded as Decoded
    from kubeshark.core_capture._columns import Direction as Direction
    from kubeshark.core_capture._columns import FlowBit as FlowBit
    from kubeshark.core_capture._columns import FlowStreams as FlowStreams
    from kubeshark.core_capture._columns import Gap as Gap
    from kubeshark.core_capture._columns import PacketBit as PacketBit
    from kubeshark.core_capture._columns import Tunnel as Tunnel
    from kubeshark.core_capture._core import core_name as core_name
    from kubeshark.core_capture._core import load_core as load_core
    from kubeshark.core_capture._messages import CHUNKED as CHUNKED
    from kubeshark.core_capture._messages import EXCHANGE as EXCHANGE
    from kubeshark.core_capture._messages import MESSAGE as MESSAGE
    from kubeshark.core_capture._messages import NO_MESSAGE as NO_MESSAGE
    from kubeshark.core_capture._messages import ROW as ROW
    from kubeshark.core_capture._messages import SCANNERS as SCANNERS
    from kubeshark.core_capture._messages import Assembled as Assembled
    from kubeshark.core_capture._messages import Scanned as Scanned
    from kubeshark.core_capture._predicate import And as And
    from kubeshark.core_capture._predicate import Carrier as Carrier
    from kubeshark.core_capture._predicate import InNetwork as InNetwork
    from kubeshark.core_capture._predicate import Not as Not
    from kubeshark.core_capture._predicate import Or as Or
    from kubeshark.core_capture._predicate import Overlaps as Overlaps
    from kubeshark.core_capture._predicate import PortBetween as PortBetween
    from kubeshark.core_capture._predicate import Predicate as Predicate
    from kubeshark.core_capture._predicate import Transport as Transport
    from kubeshark.core_capture._predicate import match as match
    from kubeshark.core_capture._records import MAX_CAPTURED as MAX_CAPTURED
    from kubeshark.core_capture._records import CaptureReader as CaptureReader
    from kubeshark.core_capture._records import Interface as Interface
    from kubeshark.core_capture._records import PacketExtra as PacketExtra
    from kubeshark.core_capture._records import Problem as Problem
    from kubeshark.core_capture._records import RawBlock as RawBlock
    from kubeshark.core_capture._records import RecordBatch as RecordBatch
    from kubeshark.core_capture._records import SourceMetadata as SourceMetadata

__all__ = [
    "ARENA",
    "CHUNKED",
    "EXCHANGE",
    "FLOW",
    "MAX_CAPTURED",
    "MESSAGE",
    "NO_FLOW",
    "NO_MESSAGE",
    "PACKET",
    "ROW",
    "SCANNERS",
    "And",
    "Assembled",
    "CaptureReader",
    "Carrier",
    "Core",
    "Decoded",
    "Direction",
    "FlowBit",
    "FlowStreams",
    "Gap",
    "InNetwork",
    "Interface",
    "Not",
    "Or",
    "Overlaps",
    "PacketBit",
    "PacketExtra",
    "PortBetween",
    "Predicate",
    "Problem",
    "RawBlock",
    "RecordBatch",
    "Scanned",
    "SourceMetadata",
    "Transport",
    "Tunnel",
    "core_name",
    "load_core",
    "match",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "_columns": "ARENA FLOW NO_FLOW PACKET Core Decoded Direction FlowBit FlowStreams Gap PacketBit Tunnel",
            "_core": "core_name load_core",
            "_messages": "CHUNKED EXCHANGE MESSAGE NO_MESSAGE ROW SCANNERS Assembled Scanned",
            "_predicate": "And Carrier InNetwork Not Or Overlaps PortBetween Predicate Transport match",
            "_records": "MAX_CAPTURED CaptureReader Interface PacketExtra Problem RawBlock RecordBatch SourceMetadata",
        },
    )
