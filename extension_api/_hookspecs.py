"""Every hook point, once: a dataclass whose fields are the arguments and whose docstring is the reference.

`add_hookspecs` turns them into pluggy specifications; the reference page, the SDKs' constants and
`kubeshark plugin hooks` are generated from the same classes. The numbers are those of the batch ABI
(docs/adr/0003-batch-abi.md): they never change and are never used twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from kubeshark.extension_api._models import (
    EntryView,
    FilterSpec,
    Packet,
    ProtocolSpec,
    SealedSegment,
    Stream,
    Value,
)

__all__ = [
    "HOOKS",
    "Configure",
    "Dissect",
    "Enrich",
    "Enriches",
    "Filter",
    "Filters",
    "Hook",
    "Job",
    "Jobs",
    "PacketFilter",
    "Probe",
    "Protocols",
    "Render",
    "SegmentSealed",
    "Settings",
    "Shape",
    "Start",
    "Stop",
    "Summarize",
]

PROBE_BYTES = 512
"""Most bytes of one side that a probe sees: enough for a request line and for every binary header we know."""

Shape = Literal["python", "answers", "dissect", "texts"]
"""How a hook's frames look (docs/adr/0003-batch-abi.md): one byte an item, messages, or one JSON text a unit."""


@dataclass(init=False, repr=False, eq=False)
class Hook:
    """Base of all hook points."""

    name: ClassVar[str]
    number: ClassVar[int]  # bit in the ABI's hook bitmap; 0 for hooks that only Python has
    stage: ClassVar[str]
    returns: ClassVar[str]
    shape: ClassVar[Shape] = "python"  # of its frames


hook = dataclass(init=False, repr=False, eq=False)
"""For what is declared and never made: methods of their own would take 3 ms of every query's start."""


@hook
class Protocols(Hook):
    """Name the protocols this plugin dissects. Called once, when the plugin is registered."""

    name: ClassVar[str] = "protocols"
    number: ClassVar[int] = 0
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "Sequence[ProtocolSpec]"


@hook
class Filters(Hook):
    """Name the filters this plugin offers to KFL. Called once, when the plugin is registered."""

    name: ClassVar[str] = "filters"
    number: ClassVar[int] = 0
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "Sequence[FilterSpec]"


@hook
class Enriches(Hook):
    """Say what `enrich` reads, sets and wants. Called once, when the plugin is registered."""

    name: ClassVar[str] = "enriches"
    number: ClassVar[int] = 0
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "EnrichSpec"


@hook
class Jobs(Hook):
    """Name the jobs of this plugin and when they run. Called once, when the plugin is registered."""

    name: ClassVar[str] = "jobs"
    number: ClassVar[int] = 0
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "Sequence[JobSpec]"


@hook
class Settings(Hook):
    """Name the settings that `configure` takes. Called once, when the plugin is registered."""

    name: ClassVar[str] = "settings"
    number: ClassVar[int] = 0
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "Sequence[SettingSpec]"


@hook
class PacketFilter(Hook):
    """Keep, drop or mark packets before they are stored: one verdict a packet.

    An import never waits for it: where it fails, or takes longer than its budget (limits.batch_ms, at most 100 ms a
    batch), the batch is stored as it is and counted as not filtered. What it drops is gone.
    """

    name: ClassVar[str] = "packet_filter"
    number: ClassVar[int] = 1
    stage: ClassVar[str] = "capture"
    returns: ClassVar[str] = "Sequence[PacketVerdict]"
    shape: ClassVar[Shape] = "answers"
    packets: Sequence[Packet]


@hook
class SegmentSealed(Hook):
    """A segment is complete on disk: upload it, notify someone. Gets metadata, never packets or keys.

    Runs beside the import, one segment after the other, in the order in which they were sealed.
    """

    name: ClassVar[str] = "segment_sealed"
    number: ClassVar[int] = 2
    stage: ClassVar[str] = "store"
    returns: ClassVar[str] = "None"
    shape: ClassVar[Shape] = "texts"
    segment: SealedSegment


@hook
class Probe(Hook):
    """Say whether streams carry this plugin's protocol.

    Asked after the declarative classifiers, in order of the protocols' priority, with at most PROBE_BYTES of each
    side. The first MINE wins; NEED_MORE is asked again when there is more, and counts as NOT_MINE at the end.
    """

    name: ClassVar[str] = "probe"
    number: ClassVar[int] = 3
    stage: ClassVar[str] = "dissect"
    returns: ClassVar[str] = "Sequence[Verdict]"
    shape: ClassVar[Shape] = "answers"
    protocol: ProtocolSpec
    streams: Sequence[Stream]


@hook
class Dissect(Hook):
    """Turn streams into messages, one list a stream, each in order of first byte per direction.

    Bytes that make no sense spoil one message, never its neighbours: resynchronise, set Message.error, go on. Python
    plugins may put a `Handover` among the messages of a stream: it passes bytes on to another protocol.
    """

    name: ClassVar[str] = "dissect"
    number: ClassVar[int] = 4
    stage: ClassVar[str] = "dissect"
    returns: ClassVar[str] = "Sequence[Sequence[Message | Handover]]"
    shape: ClassVar[Shape] = "dissect"
    protocol: ProtocolSpec
    streams: Sequence[Stream]


@hook
class Enrich(Hook):
    """Annotate, redact, tag or drop entries: one `Enrichment` an entry, or None to leave it as it is.

    Runs behind dissection, when ids are fixed, and before any filter sees the entry: a filter cannot find out what was
    redacted. Plugins run in order of their priority, each on what the one before left. An entry that a plugin fails on
    is shown without its content (EnrichSpec.on_failure), and counted. Addresses, ports, times and protocol flags are
    what the index answers: they cannot be redacted.
    """

    name: ClassVar[str] = "enrich"
    number: ClassVar[int] = 5
    stage: ClassVar[str] = "dissect"
    returns: ClassVar[str] = "Sequence[Enrichment | None]"
    shape: ClassVar[Shape] = "texts"
    entries: Sequence[EntryView]


@hook
class Filter(Hook):
    """Decide entries for a KFL call such as `is_bot()`. Called in batches, after every cheaper term.

    Returns true, false, or None for an evaluation error, one an entry.
    """

    name: ClassVar[str] = "filter"
    number: ClassVar[int] = 6
    stage: ClassVar[str] = "filter"
    returns: ClassVar[str] = "Sequence[bool | None]"
    shape: ClassVar[Shape] = "answers"
    filter: FilterSpec
    arguments: Sequence[Value]
    entries: Sequence[EntryView]


@hook
class Summarize(Hook):
    """Give the cells of an entry's row, each with the KFL that selects it (entries.md §5); None: not mine."""

    name: ClassVar[str] = "summarize"
    number: ClassVar[int] = 7
    stage: ClassVar[str] = "display"
    returns: ClassVar[str] = "dict[str, Any] | None"
    shape: ClassVar[Shape] = "texts"
    entry: EntryView


@hook
class Render(Hook):
    """Give an entry's representation, or None (or a priority below 0) where it is not yours.

    Its sections are of these types: `table` (rows), `body` and `code` (text), `hex` (bytes, and ranges that say what
    they are), `image` (png, jpeg, gif, webp), `timeline` (points in microseconds from the start).
    """

    name: ClassVar[str] = "render"
    number: ClassVar[int] = 8
    stage: ClassVar[str] = "display"
    returns: ClassVar[str] = "Representation | None"
    shape: ClassVar[Shape] = "texts"
    entry: EntryView


@hook
class Job(Hook):
    """Run a job, now. Long-lived processes (`serve`) call it by its schedule; `kubeshark plugin run-job` at once.

    A run that is due while the one before goes on is skipped and counted; what was due while nobody ran is not made up.
    """

    name: ClassVar[str] = "job"
    number: ClassVar[int] = 9
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "None"
    shape: ClassVar[Shape] = "texts"
    job: str
    due_ns: int


@hook
class Configure(Hook):
    """Take the settings, before `start`; raise ValueError to refuse them, which keeps the plugin from running.

    Every declared setting is there, of its declared type: the user's value, or the default.
    """

    name: ClassVar[str] = "configure"
    number: ClassVar[int] = 10
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "None"
    shape: ClassVar[Shape] = "texts"
    values: dict[str, Any]


@hook
class Start(Hook):
    """The plugin will be used: once in each process that runs it, behind `configure`, before everything else."""

    name: ClassVar[str] = "start"
    number: ClassVar[int] = 11
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "None"
    shape: ClassVar[Shape] = "texts"


@hook
class Stop(Hook):
    """The plugin will not be used any more. Has one second; a process that crashed gets none."""

    name: ClassVar[str] = "stop"
    number: ClassVar[int] = 12
    stage: ClassVar[str] = "lifecycle"
    returns: ClassVar[str] = "None"
    shape: ClassVar[Shape] = "texts"


HOOKS: tuple[type[Hook], ...] = (
    Protocols,
    Filters,
    Enriches,
    Jobs,
    Settings,
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
