"""Exports: packets of whole connections or of entries alone, as they were captured, and HTTP exchanges as HAR.

An expression that the index answers alone selects by predicate; anything else by the entries that a query found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from msgspec import Struct

from kubeshark.core_capture.store import Keep, Select, Store, export
from kubeshark.pipeline.exports._flows import Chosen, Matching
from kubeshark.pipeline.exports._output import Counting, open_output

if TYPE_CHECKING:
    from kubeshark.core_capture.store import SegmentInfo
    from kubeshark.pipeline._pipeline import Pipeline
    from kubeshark.pipeline.entries._entry import Entry
    from kubeshark.pipeline.query._store_query import StoreQuery

__all__ = ["ExportResult", "HarResult", "export_connections", "export_har", "export_packets"]


class ExportResult(Struct, frozen=True):
    packets: int
    bytes: int
    problems: tuple[str, ...]
    notices: tuple[str, ...] = ()  # about the filter: what was translated, entries that it failed on


class HarResult(Struct, frozen=True):
    entries: int
    skipped: int  # that are not HTTP
    problems: tuple[str, ...]
    notices: tuple[str, ...] = ()  # about the filter


def export_packets(
    pipeline: Pipeline,
    kfl: str,
    out: str | Path | BinaryIO,
    *,
    form: Literal["pcap", "pcapng"],
    since_ns: int | None,
    until_ns: int | None,
    bpf: str,
    packets_only: bool,
    gave_up: Callable[[], bool],
) -> ExportResult:
    """Do what `Pipeline.export` says."""
    store = pipeline.store
    segments: list[SegmentInfo] | None = None
    select: Select | None = None
    keep: list[Keep] = []
    query: StoreQuery[Entry] | None = None
    notices: Sequence[str] = ()
    if bpf.strip():
        from kubeshark.pipeline.exports._packets import passing

        keep.append(passing(bpf, {info.link_type for info in store.segments()}))
    if not packets_only and (exact := pipeline.exact(kfl)) is not None:
        segments = store.segments(exact.predicate)
        select, notices = Matching(exact.predicate), exact.notices
    elif kfl.strip() or pipeline.shows_some_only:
        query = pipeline.query(kfl, since_ns=since_ns, until_ns=until_ns, gave_up=gave_up)
        if packets_only:
            from kubeshark.pipeline.exports._packets import ChosenPackets

            select = packets = ChosenPackets(query)
            keep.append(packets.keep)
        else:
            select = Chosen(query)
        notices = query.notices
    with open_output(out) as stream:
        counted = Counting(stream)
        done = export(
            store,
            counted,  # type: ignore[arg-type]  # it can be written to, which is all that is asked
            form=form,
            select=select,
            keep=keep,
            since_ns=since_ns,
            until_ns=until_ns,
            segments=segments,
        )
    problems = (*(query.problems if query else ()), *store.problems, *done.problems)
    return ExportResult(done.packets, counted.written, tuple(dict.fromkeys(map(str, problems))), tuple(notices))


def export_connections(
    store: Store, entries: Sequence[Entry], out: BinaryIO, *, form: Literal["pcap", "pcapng"]
) -> None:
    """Write the whole connections of these entries; only segments that they lie in are read."""
    names = {segment.name for entry in entries for segment, _ in entry.facts.parts}
    chosen = [info for info in store.segments() if info.name in names]
    export(store, out, form=form, select=Chosen(entries), segments=chosen)


def export_har(
    pipeline: Pipeline,
    kfl: str,
    out: str | Path | BinaryIO,
    *,
    since_ns: int | None,
    until_ns: int | None,
    with_secrets: bool,
    gave_up: Callable[[], bool],
) -> HarResult:
    """Do what `Pipeline.export_har` says."""
    from kubeshark.pipeline.exports._har import write_har

    query = pipeline.query(kfl.strip() or "http", since_ns=since_ns, until_ns=until_ns, gave_up=gave_up)
    with open_output(out) as stream:
        written, skipped = write_har(query, stream, with_secrets=with_secrets)
    return HarResult(written, skipped, tuple(map(str, query.problems)), tuple(query.notices))
