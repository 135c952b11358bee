"""Every hook point, once: a frozen dataclass whose fields are the arguments and whose docstring is the reference.

`add_hookspecs` turns them into pluggy specifications; the reference page, the SDKs' constants and
`kubeshark plugin hooks` are generated from the same classes. The numbers are those of the batch ABI
(docs/adr/0003-batch-abi.md): they never change and are never used twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from kubeshark.extension_api._models import EntryView, FilterSpec, ProtocolSpec, Stream, Value

__all__ = [
    "HOOKS",
    "Configure",
    "Dissect",
    "Enrich",
    "Filter",
    "Filters",
    "Hook",
    "Job",
    "PacketFilter",
    "Probe",
    "Protocols",
    "Render",
    "SegmentSealed",
    "Start",
    "Stop",
    "Summarize",
]

PROBE_BYTES = 512
"""Most bytes of one side that a probe sees: enough for a request line and for every binary header we know."""


@dataclass(frozen=True)
class Hook:
    """Base of all hook points."""

    name: ClassVar[str]
    number: ClassVar[int]  # bit in the ABI's hook bitmap; 0 for hooks that only Python has
    stage: ClassVar[str]
    returns: ClassVar[str]
    is_called: ClassVar[bool] = True  # False: specified, so that its number and shape are fixed, but not called yet


@dataclass(frozen=True)
class Protocols(Hook):
    """Name the protocols this plugin dissects. Called once, when the plugin is registered."""

    name: ClassVar[str] = "protocols"
    number: ClassVar[int] = 0
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "Sequence[ProtocolSpec]"


@dataclass(frozen=True)
class Filters(Hook):
    """Name the filters this plugin offers to KFL. Called once, when the plugin is registered."""

    name: ClassVar[str] = "filters"
    number: ClassVar[int] = 0
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "Sequence[FilterSpec]"


@dataclass(frozen=True)
class PacketFilter(Hook):
    """Keep, drop or mark packets before they are stored. Over its time budget it is skipped and counted."""

    name: ClassVar[str] = "packet_filter"
    number: ClassVar[int] = 1
    stage: ClassVar[str] = "capture"
    returns: ClassVar[str] = "Sequence[int]"
    is_called: ClassVar[bool] = False
    packets: Sequence[memoryview]


@dataclass(frozen=True)
class SegmentSealed(Hook):
    """A segment is complete on disk: upload it, notify someone. Gets metadata, never packets."""

    name: ClassVar[str] = "segment_sealed"
    number: ClassVar[int] = 2
    stage: ClassVar[str] = "store"
    returns: ClassVar[str] = "None"
    is_called: ClassVar[bool] = False
    segment: dict[str, Any]


@dataclass(frozen=True)
class Probe(Hook):
    """Say whether streams carry this plugin's protocol.

    Asked after the declarative classifiers, in order of the protocols' priority, with at most PROBE_BYTES of each
    side. The first MINE wins; NEED_MORE is asked again when there is more, and counts as NOT_MINE at the end.
    """

    name: ClassVar[str] = "probe"
    number: ClassVar[int] = 3
    stage: ClassVar[str] = "dissect"
    returns: ClassVar[str] = "Sequence[Verdict]"
    protocol: ProtocolSpec
    streams: Sequence[Stream]


@dataclass(frozen=True)
class Dissect(Hook):
    """Turn streams into messages, one list a stream, each in order of first byte per direction.

    Bytes that make no sense spoil one message, never its neighbours: resynchronise, set Message.error, go on. Python
    plugins may put a `Handover` among the messages of a stream: it passes bytes on to another protocol.
    """

    name: ClassVar[str] = "dissect"
    number: ClassVar[int] = 4
    stage: ClassVar[str] = "dissect"
    returns: ClassVar[str] = "Sequence[Sequence[Message | Handover]]"
    protocol: ProtocolSpec
    streams: Sequence[Stream]


@dataclass(frozen=True)
class Enrich(Hook):
    """Annotate, redact, tag or drop entries after dissection; ids are fixed before it runs."""

    name: ClassVar[str] = "enrich"
    number: ClassVar[int] = 5
    stage: ClassVar[str] = "dissect"
    returns: ClassVar[str] = "Sequence[EntryView | None]"
    is_called: ClassVar[bool] = False
    entries: Sequence[EntryView]


@dataclass(frozen=True)
class Filter(Hook):
    """Decide entries for a KFL call such as `is_bot()`. Called in batches, after every cheaper term.

    Returns true, false, or None for an evaluation error, one an entry.
    """

    name: ClassVar[str] = "filter"
    number: ClassVar[int] = 6
    stage: ClassVar[str] = "filter"
    returns: ClassVar[str] = "Sequence[bool | None]"
    filter: FilterSpec
    arguments: Sequence[Value]
    entries: Sequence[EntryView]


@dataclass(frozen=True)
class Summarize(Hook):
    """Give the cells of an entry's row, each with the KFL that selects it (entries.md §5); None: not mine."""

    name: ClassVar[str] = "summarize"
    number: ClassVar[int] = 7
    stage: ClassVar[str] = "display"
    returns: ClassVar[str] = "dict[str, Any] | None"
    entry: EntryView


@dataclass(frozen=True)
class Render(Hook):
    """Give an entry's representation, or None (or a priority below 0) where it is not yours."""

    name: ClassVar[str] = "render"
    number: ClassVar[int] = 8
    stage: ClassVar[str] = "display"
    returns: ClassVar[str] = "Representation | None"
    entry: EntryView


@dataclass(frozen=True)
class Job(Hook):
    """Run a cron job (six fields: second first)."""

    name: ClassVar[str] = "job"
    number: ClassVar[int] = 9
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "None"
    is_called: ClassVar[bool] = False
    job: str


@dataclass(frozen=True)
class Configure(Hook):
    """Take settings, before start and after each change; raise ValueError to refuse them."""

    name: ClassVar[str] = "configure"
    number: ClassVar[int] = 10
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "None"
    is_called: ClassVar[bool] = False
    settings: dict[str, Any]


@dataclass(frozen=True)
class Start(Hook):
    """The pipeline starts using this plugin."""

    name: ClassVar[str] = "start"
    number: ClassVar[int] = 11
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "None"
    is_called: ClassVar[bool] = False


@dataclass(frozen=True)
class Stop(Hook):
    """The pipeline stops using this plugin; bounded in time."""

    name: ClassVar[str] = "stop"
    number: ClassVar[int] = 12
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "None"
    is_called: ClassVar[bool] = False


HOOKS: tuple[type[Hook], ...] = (
    Protocols,
    Filters,
    PacketFilter,
    SegmentSealed,
    Probe,
    Dissect,
    Enrich,
    Filter,
    Summarize,
    Render,
    Job,
    Configure,
    Start,
    Stop,
)
