"""Encrypted segments on disk: age v1 around zstd around pcap, with an index that says which bytes a query needs."""

from kubeshark.core_capture.store._age import AgeReader, AgeWriter, NotForUsError, rewrap
from kubeshark.core_capture.store._backend import Requests
from kubeshark.core_capture.store._export import Exported, Select, export
from kubeshark.core_capture.store._identity import (
    Identity,
    Recipient,
    create_identity,
    identity_path,
    load_identities,
    parse_recipients,
)
from kubeshark.core_capture.store._info import SegmentInfo, SourceRecord
from kubeshark.core_capture.store._limits import SEGMENT_BYTES
from kubeshark.core_capture.store._overview import Overview
from kubeshark.core_capture.store._passphrase import ask_new_passphrase
from kubeshark.core_capture.store._prune import Pruned, Retention
from kubeshark.core_capture.store._reader import Expired, ReadStats, SegmentReader
from kubeshark.core_capture.store._recover import Leftover
from kubeshark.core_capture.store._rotate import Rotated
from kubeshark.core_capture.store._signing import NodeKey
from kubeshark.core_capture.store._snapshots import Snapshot
from kubeshark.core_capture.store._store import Store, StoreInfo, default_node
from kubeshark.core_capture.store._verify import Finding, VerifyReport
from kubeshark.core_capture.store._writer import ImportState, SourceInfo, Writer

__all__ = [
    "SEGMENT_BYTES",
    "AgeReader",
    "AgeWriter",
    "Expired",
    "Exported",
    "Finding",
    "Identity",
    "ImportState",
    "Leftover",
    "NodeKey",
    "NotForUsError",
    "Overview",
    "Pruned",
    "ReadStats",
    "Recipient",
    "Requests",
    "Retention",
    "Rotated",
    "SegmentInfo",
    "SegmentReader",
    "Select",
    "Snapshot",
    "SourceInfo",
    "SourceRecord",
    "Store",
    "StoreInfo",
    "VerifyReport",
    "Writer",
    "ask_new_passphrase",
    "create_identity",
    "default_node",
    "export",
    "identity_path",
    "load_identities",
    "parse_recipients",
    "rewrap",
]
