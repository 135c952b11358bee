"""What plugins see and give: streams in, messages out, entries and their representation.

Values of KFL variables are plain Python: str, int, float, bool, bytes, list[str], dict[str, str]; timestamps are int
nanoseconds since 1970. Nothing here knows where the packets came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, Literal, Protocol

__all__ = [
    "ByteRange",
    "Classifier",
    "Datagram",
    "Ending",
    "Endpoint",
    "EnrichSpec",
    "Enrichment",
    "EntryView",
    "FilterSpec",
    "JobSpec",
    "Message",
    "MessageKind",
    "Moment",
    "Packet",
    "PacketVerdict",
    "ProtocolSpec",
    "Redaction",
    "Representation",
    "SealedSegment",
    "Section",
    "SettingSpec",
    "Stream",
    "StreamSide",
    "TableRow",
    "TimelinePoint",
    "Value",
    "VariableType",
    "Verdict",
]

Value = str | int | float | bool | bytes | list[str] | dict[str, str]
VariableType = Literal["string", "int", "double", "bool", "bytes", "timestamp", "list", "map"]
"""Types of KFL variables; `list` is list(string), `map` is map(string, string)."""

Ending = Literal["", "closed", "reset", "refused"]
"""A side's end: its sender's FIN, its sender's RST, the other side's RST; "" where none of them was seen there."""

CLIENT, SERVER = 0, 1
"""Directions as plugins see them: who sent it."""


class Verdict(Enum):
    """Answer of a probe."""

    MINE = 1
    NOT_MINE = 0
    NEED_MORE = 2


class MessageKind(IntEnum):
    REQUEST = 0
    RESPONSE = 1
    EVENT = 2


@dataclass(frozen=True, slots=True)
class Endpoint:
    ip: str  # canonical text
    port: int  # 0 where the transport has none


class StreamSide(Protocol):
    """What one side of a TCP stream sent, in order."""

    @property
    def data(self) -> memoryview:
        """All of it; bytes never captured are zeros (see `gaps`). Valid while the dissector runs."""
        ...

    @property
    def gaps(self) -> Sequence[tuple[int, int, int]]:
        """(start, end, missing): data[start:end] stands for `missing` bytes never captured."""
        ...

    @property
    def starts_midway(self) -> bool:
        """The capture began inside this connection: data[0] need not begin a message."""
        ...

    @property
    def ended(self) -> Ending:
        """How the connection ended right behind data[-1], so that nothing more can have been sent."""
        ...

    def packet_at(self, offset: int) -> int:
        """Ordinal, in capture order, of the packet that first carried the byte at `offset`."""
        ...

    def time_at(self, offset: int) -> int:
        """Nanoseconds of the packet that first carried the byte at `offset`."""
        ...


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram (or ICMP message, or SCTP packet)."""

    direction: int  # CLIENT or SERVER sent it
    time_ns: int
    data: memoryview
    cut: bool = False  # captured shorter than it was


class Stream(Protocol):
    """One flow's payload: `sides` for TCP, `datagrams` for everything else."""

    transport: str  # "tcp", "udp", "sctp", "icmp"
    client: Endpoint
    server: Endpoint

    @property
    def sides(self) -> tuple[StreamSide, StreamSide]:
        """(client's, server's); both empty unless TCP."""
        ...

    @property
    def datagrams(self) -> Sequence[Datagram]:
        """In time order; empty for TCP."""
        ...

    def turns(self) -> Sequence[tuple[int, int, int]]:
        """(direction, start, end) of a TCP stream's alternating runs, by arrival: for protocols where order matters."""
        ...


@dataclass(slots=True)
class Message:
    """One protocol unit in one direction.

    `fields` are KFL variables of the summary: cheap ones only. `detail` builds the heavy part on demand: it returns
    (variables, document) where variables are further KFL variables (headers, bodies) and document is the `request`,
    `response` or event `data` object of the JSON entry (reference: entries.md §6).
    """

    kind: MessageKind
    direction: int
    start: int  # offset in the side's data, or in the datagram
    end: int  # exclusive
    datagram: int = 0  # index into Stream.datagrams; 0 for TCP
    fields: dict[str, Value] = field(default_factory=dict)
    key: str = ""  # pairs request and response where the protocol has ids; "" pairs in order
    one_way: bool = False  # a request that has no answer by design
    final: bool = True  # False: an interim response (HTTP 1xx) that does not end its request
    error: str = ""  # what is wrong: "gap: …", "truncated: …"; "Reset: …", "CloseWait: …": its connection ended first
    protocol: str = ""  # flag of another protocol of the same plugin, whose message this is
    interleaved: int = 0  # bytes between start and end that belong to other messages: HTTP/2 streams
    detail: Callable[[], tuple[Mapping[str, Value], Mapping[str, Any]]] | None = None
    parts: Callable[[], Sequence[tuple[int, str]]] | None = None
    """What came bit by bit inside it, as the messages of a streaming call: (offset of the last byte in the side's data,
    label). A redacted entry has none."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """A declared match, tried before any probe: a server port, or bytes at an offset of a side's first bytes."""

    transport: Literal["tcp", "udp", "sctp"]
    ports: tuple[int, ...] = ()  # empty: any port
    offset: int = 0
    prefix: bytes = b""  # empty: the port alone decides
    side: Literal["client", "server", "any"] = "any"


@dataclass(frozen=True, slots=True)
class ProtocolSpec:
    """A protocol as entries name it (entries.md §2), and the KFL variables its messages set."""

    name: str
    abbr: str
    long_name: str
    version: str = ""
    macro: str = ""  # the KFL flag; default: name
    also: tuple[str, ...] = ()  # further flags that are true for its entries: `http` for HTTP/2 and gRPC
    ports: tuple[int, ...] = ()
    layer4: str = "tcp"
    priority: int = 100  # order of attempts, 0 first
    background: str = "#6b7280"
    foreground: str = "#ffffff"
    reference: str = ""
    matcher: Literal["fifo", "key", "none"] = "fifo"
    hands_over: tuple[str, ...] = ()  # flags of protocols that its streams may go on in (`Handover`); "*": any
    handover_marks: tuple[bytes, ...] = ()  # lower case: a stream without any of these, in any case, hands nothing over
    classifiers: tuple[Classifier, ...] = ()
    variables: Mapping[str, VariableType] = field(default_factory=dict)
    transports: tuple[Literal["tcp", "udp", "sctp"], ...] = ()  # probed on these; empty: on `layer4` alone

    @property
    def carriers(self) -> frozenset[str]:
        """Transports whose streams it may be found in: by probe, or by a classifier."""
        return frozenset(self.transports or (self.layer4,)) | {each.transport for each in self.classifiers}

    @property
    def flag(self) -> str:
        return self.macro or self.name

    @property
    def flags(self) -> tuple[str, ...]:
        """Every flag that is true for its entries."""
        return (self.flag, *self.also)


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """A filter that KFL can call by name, e.g. `http && is_bot()`."""

    name: str
    parameters: tuple[VariableType, ...] = ()  # string, int, double, bool; arguments are literals
    reads: tuple[str, ...] = ()  # the KFL variables it gets of each entry


class PacketVerdict(IntEnum):
    """Answer of a packet filter."""

    KEEP = 0
    DROP = 1  # never stored; counted
    MARK = 2  # stored, with a comment that names the plugin (pcapng opt_comment)


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet before it is stored."""

    data: bytes | memoryview  # from the link layer on; valid during the call
    time_ns: int
    length: int  # on the wire; `data` may be shorter
    link_type: int  # LINKTYPE_* of the tcpdump.org registry


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """A segment that is complete and durable. Its file is encrypted; the key to it is never given to a plugin."""

    name: str
    path: str  # of the encrypted packets: PATH.pcap.zst.age, or the URL of a store on object storage
    first_ns: int
    last_ns: int
    packets: int
    flows: int
    bytes: int  # captured
    stored_bytes: int  # compressed, before encryption
    link_type: int
    source: str  # name of the capture file


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job: `cron` has six fields (second, minute, hour, day of month, month, day of week), in UTC."""

    name: str
    cron: str


@dataclass(frozen=True, slots=True)
class SettingSpec:
    """A setting that users may change: `kubeshark plugin set ID name=value`."""

    name: str
    type: Literal["string", "int", "double", "bool", "list"] = "string"
    default: Value | None = None  # None: "", 0, False, []
    required: bool = False  # the plugin does not start without it
    choices: tuple[str, ...] = ()  # of strings
    minimum: float | None = None  # of numbers
    maximum: float | None = None
    secret: bool = False  # shown as ***
    description: str = ""


@dataclass(frozen=True, slots=True)
class EnrichSpec:
    """What a plugin's `enrich` reads and adds, and when it runs."""

    reads: tuple[str, ...] = ()  # KFL variables it gets of each entry; "document" is the whole JSON entry, as text
    variables: Mapping[str, VariableType] = field(default_factory=dict)  # KFL variables it may set
    protocols: tuple[str, ...] = ()  # flags of the protocols it wants; empty: every entry
    priority: int = 100  # lower ones run first, and later ones see what they did
    on_failure: Literal["withhold", "drop", "keep"] = "withhold"  # what becomes of an entry it failed on


@dataclass(frozen=True, slots=True)
class Redaction:
    """What must not be seen of an entry: one of `path` and `text`.

    `path` is a KFL variable (`redis_key`), a key of a map (`request.headers["authorization"]`), or a place in the JSON
    entry below `request`, `response`, `event` or `data`, also inside a body that is JSON
    (`request.postData.text.user.password`; `*` is every item of a list). `text` is replaced wherever it occurs. What is
    redacted disappears from all variables and documents of the entry, and its raw bytes are withheld.
    """

    path: str = ""
    text: str = ""
    value: str = "[redacted]"  # what is shown instead


@dataclass(frozen=True, slots=True)
class Enrichment:
    """What `enrich` makes of one entry."""

    drop: bool = False  # no query shows it; its packets stay in the store
    tags: tuple[str, ...] = ()  # for the KFL variable `tags`
    variables: Mapping[str, Value] = field(default_factory=dict)  # of those in EnrichSpec.variables
    redactions: tuple[Redaction, ...] = ()
    failure: str = ""  # why it could not be worked out: EnrichSpec.on_failure decides


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that was seen of an entry, and when."""

    time_ns: int  # since 1970
    half: MessageKind
    direction: int  # CLIENT or SERVER did it
    label: str


class EntryView(Protocol):
    """An entry as filters, renderers and redaction see it."""

    id: str
    protocol: ProtocolSpec

    def get(self, variable: str) -> Value:
        """Return a KFL variable, its type's default if this entry lacks it."""
        ...

    def document(self) -> Mapping[str, Any]:
        """Return the JSON entry (entries.md §1); built on first use."""
        ...

    def raw(self, kind: MessageKind) -> bytes:
        """Return the bytes of the request, response or event as they were on the wire; b"" if that half is missing."""
        ...

    def moments(self) -> Sequence[Moment]:
        """Return when its halves and their parts were seen, in time order; of a connection, its milestones."""
        ...


@dataclass(frozen=True, slots=True)
class TableRow:
    name: str
    value: str | int | float | bool | None
    selector: str = ""  # the left side of `selector == value` in KFL; "" = not selectable


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of a hex section that mean something: `selector` links them with the table rows that have the same."""

    start: int
    end: int  # exclusive
    name: str
    selector: str = ""


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    t: int  # microseconds from the start; not negative
    label: str
    direction: Literal["client", "server", ""] = ""  # who did it


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a representation (entries.md §5). A client shows an unknown type as text."""

    type: Literal["table", "body", "code", "hex", "image", "timeline"]
    title: str
    rows: tuple[TableRow, ...] = ()
    body: str = ""
    encoding: Literal["", "base64"] = ""
    mime_type: str = ""
    selector: str = ""
    plugin: str = ""  # id@version of the plugin that made it
    points: tuple[TimelinePoint, ...] = ()  # of a timeline
    ranges: tuple[ByteRange, ...] = ()  # of a hex section
    micros: int = 0  # what the plugin took for all its sections


@dataclass(frozen=True, slots=True)
class Representation:
    """Sections in display order. The renderer with the highest priority wins; below 0 means "not mine"."""

    priority: int
    request: tuple[Section, ...] = ()
    response: tuple[Section, ...] = ()
    event: tuple[Section, ...] = ()
    data: tuple[Section, ...] = ()
