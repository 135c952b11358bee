"""Encrypted segments on disk: age v1 around zstd around pcap, with an index that says which bytes a query needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.core_capture.store._export import Exported as Exported
    from kubeshark.core_capture.store._export import Keep as Keep
    from kubeshark.core_capture.store._export import Select as Select
    from kubeshark.core_capture.store._export import export as export
    from kubeshark.core_capture.store._limits import HELD_SEGMENTS as HELD_SEGMENTS
    from kubeshark.core_capture.store._limits import LEAST_HELD_SEGMENTS as LEAST_HELD_SEGMENTS
    from kubeshark.core_capture.store._limits import LIVE_SEGMENT_BYTES as LIVE_SEGMENT_BYTES
    from kubeshark.core_capture.store._limits import SEGMENT_BYTES as SEGMENT_BYTES
    from kubeshark.core_capture.store._overview import Overview as Overview
    from kubeshark.core_capture.store._store import Store as Store
    from kubeshark.core_capture.store._store import StoreInfo as StoreInfo
    from kubeshark.core_capture.store._store import default_node as default_node
    from kubeshark.core_capture.store._verify import Finding as Finding
    from kubeshark.core_capture.store._verify import VerifyReport as VerifyReport
    from kubeshark.core_capture.store.archives._joined import JoinedStore as JoinedStore
    from kubeshark.core_capture.store.archives._joined import Member as Member
    from kubeshark.core_capture.store.archives._open import open_store as open_store
    from kubeshark.core_capture.store.archives._reference import ReferencedSegments as ReferencedSegments
    from kubeshark.core_capture.store.archives._reference import SegmentReference as SegmentReference
    from kubeshark.core_capture.store.archives._reference import reference_of as reference_of
    from kubeshark.core_capture.store.archives._uploader import Uploader as Uploader
    from kubeshark.core_capture.store.archives._uploader import UploadStatus as UploadStatus
    from kubeshark.core_capture.store.catalogue._name_history import NameRecord as NameRecord
    from kubeshark.core_capture.store.catalogue._upload_journal import UploadJournal as UploadJournal
    from kubeshark.core_capture.store.catalogue._upload_journal import load_journal as load_journal
    from kubeshark.core_capture.store.keys._age_format import NotForUsError as NotForUsError
    from kubeshark.core_capture.store.keys._age_reader import AgeReader as AgeReader
    from kubeshark.core_capture.store.keys._age_writer import AgeWriter as AgeWriter
    from kubeshark.core_capture.store.keys._age_writer import rewrap as rewrap
    from kubeshark.core_capture.store.keys._identity import Identity as Identity
    from kubeshark.core_capture.store.keys._identity import Recipient as Recipient
    from kubeshark.core_capture.store.keys._identity import create_identity as create_identity
    from kubeshark.core_capture.store.keys._identity import identity_path as identity_path
    from kubeshark.core_capture.store.keys._identity import load_identities as load_identities
    from kubeshark.core_capture.store.keys._identity import parse_recipients as parse_recipients
    from kubeshark.core_capture.store.keys._known_nodes import trusted_nodes as trusted_nodes
    from kubeshark.core_capture.store.keys._letter import open_letter as open_letter
    from kubeshark.core_capture.store.keys._letter import write_letter as write_letter
    from kubeshark.core_capture.store.keys._passphrase import ask_new_passphrase as ask_new_passphrase
    from kubeshark.core_capture.store.keys._signing import NodeKey as NodeKey
    from kubeshark.core_capture.store.places._away import Away as Away
    from kubeshark.core_capture.store.places._backend import Requests as Requests
    from kubeshark.core_capture.store.places._locate import archive_url as archive_url
    from kubeshark.core_capture.store.places._locate import worker_url as worker_url
    from kubeshark.core_capture.store.places._tls_files import TlsFiles as TlsFiles
    from kubeshark.core_capture.store.segments._cache import BlockCache as BlockCache
    from kubeshark.core_capture.store.segments._cache import CacheStats as CacheStats
    from kubeshark.core_capture.store.segments._info import Counters as Counters
    from kubeshark.core_capture.store.segments._info import SegmentInfo as SegmentInfo
    from kubeshark.core_capture.store.segments._info import SourceRecord as SourceRecord
    from kubeshark.core_capture.store.segments._reader import Expired as Expired
    from kubeshark.core_capture.store.segments._reader import ReadStats as ReadStats
    from kubeshark.core_capture.store.segments._reader import SegmentReader as SegmentReader
    from kubeshark.core_capture.store.segments._scheduled import MAX_KEEP_S as MAX_KEEP_S
    from kubeshark.core_capture.store.segments._scheduled import Scheduled as Scheduled
    from kubeshark.core_capture.store.upkeep._prune import CaptureKey as CaptureKey
    from kubeshark.core_capture.store.upkeep._prune import Pruned as Pruned
    from kubeshark.core_capture.store.upkeep._prune import Retention as Retention
    from kubeshark.core_capture.store.upkeep._rotate import Rotated as Rotated
    from kubeshark.core_capture.store.upkeep._snapshots import Snapshot as Snapshot
    from kubeshark.core_capture.store.upkeep._survey import Leftover as Leftover
    from kubeshark.core_capture.store.writing._live_counts import LiveCounters as LiveCounters
    from kubeshark.core_capture.store.writing._live_writer import LiveWriter as LiveWriter
    from kubeshark.core_capture.store.writing._log import LogProblem as LogProblem
    from kubeshark.core_capture.store.writing._log import LogReader as LogReader
    from kubeshark.core_capture.store.writing._log import OpenSegment as OpenSegment
    from kubeshark.core_capture.store.writing._log import read_log as read_log
    from kubeshark.core_capture.store.writing._writer import ImportState as ImportState
    from kubeshark.core_capture.store.writing._writer import SourceInfo as SourceInfo
    from kubeshark.core_capture.store.writing._writer import Writer as Writer

__all__ = [
    "LIVE_SEGMENT_BYTES",
    "MAX_KEEP_S",
    "SEGMENT_BYTES",
    "AgeReader",
    "AgeWriter",
    "Away",
    "BlockCache",
    "CacheStats",
    "Counters",
    "Expired",
    "Exported",
    "Finding",
    "Identity",
    "ImportState",
    "JoinedStore",
    "Keep",
    "Leftover",
    "LiveCounters",
    "LiveWriter",
    "LogProblem",
    "LogReader",
    "Member",
    "NameRecord",
    "NodeKey",
    "NotForUsError",
    "OpenSegment",
    "Overview",
    "Pruned",
    "ReadStats",
    "Recipient",
    "ReferencedSegments",
    "Requests",
    "Retention",
    "Rotated",
    "Scheduled",
    "SegmentInfo",
    "SegmentReader",
    "SegmentReference",
    "Select",
    "Snapshot",
    "SourceInfo",
    "SourceRecord",
    "Store",
    "StoreInfo",
    "TlsFiles",
    "UploadJournal",
    "UploadStatus",
    "Uploader",
    "VerifyReport",
    "Writer",
    "archive_url",
    "ask_new_passphrase",
    "create_identity",
    "default_node",
    "export",
    "identity_path",
    "load_identities",
    "load_journal",
    "open_letter",
    "open_store",
    "parse_recipients",
    "read_log",
    "reference_of",
    "rewrap",
    "trusted_nodes",
    "worker_url",
    "write_letter",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "keys._age_format": "NotForUsError",
            "keys._age_reader": "AgeReader",
            "keys._age_writer": "AgeWriter rewrap",
            "places._away": "Away",
            "places._backend": "Requests",
            "segments._cache": "BlockCache CacheStats",
            "_export": "Exported Keep Select export",
            "keys._identity": "Identity Recipient create_identity identity_path load_identities parse_recipients",
            "segments._info": "Counters SegmentInfo SourceRecord",
            "archives._joined": "JoinedStore Member",
            "keys._known_nodes": "trusted_nodes",
            "keys._letter": "open_letter write_letter",
            "_limits": "HELD_SEGMENTS LEAST_HELD_SEGMENTS LIVE_SEGMENT_BYTES SEGMENT_BYTES",
            "places._locate": "archive_url worker_url",
            "writing._live_counts": "LiveCounters",
            "writing._live_writer": "LiveWriter",
            "writing._log": "LogProblem LogReader OpenSegment read_log",
            "catalogue._name_history": "NameRecord",
            "archives._open": "open_store",
            "_overview": "Overview",
            "keys._passphrase": "ask_new_passphrase",
            "upkeep._prune": "CaptureKey Pruned Retention",
            "segments._reader": "Expired ReadStats SegmentReader",
            "upkeep._survey": "Leftover",
            "archives._reference": "ReferencedSegments SegmentReference reference_of",
            "upkeep._rotate": "Rotated",
            "segments._scheduled": "MAX_KEEP_S Scheduled",
            "keys._signing": "NodeKey",
            "upkeep._snapshots": "Snapshot",
            "_store": "Store StoreInfo default_node",
            "places._tls_files": "TlsFiles",
            "catalogue._upload_journal": "UploadJournal load_journal",
            "archives._uploader": "UploadStatus Uploader",
            "_verify": "Finding VerifyReport",
            "writing._writer": "ImportState SourceInfo Writer",
        },
    )
