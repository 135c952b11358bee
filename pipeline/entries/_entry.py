"""An entry: an exchange or an event with an id, its KFL variables on demand, and the JSON form (entries.md).

Late materialisation: an entry is made of its messages' summaries; headers, bodies and documents are built when a
filter, a renderer or a printer asks for one of them, and at most once.
"""

from __future__ import annotations

import functools
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct

from kubeshark.extension_api import Endpoint, Message, MessageKind, Moment, ProtocolSpec, Representation, Value
from kubeshark.pipeline.dissection._matcher import Exchange, Timed
from kubeshark.pipeline.entries._display import representation_document
from kubeshark.pipeline.entries._facts import StreamFacts, resolution
from kubeshark.pipeline.entries._time import rfc3339
from kubeshark.pipeline.kfl import ENTRY
from kubeshark.pipeline.names._named import NAMED, Who

__all__ = ["LATE", "Entry", "EntryError", "EntryId", "protocol_name"]

SUB_PROTOCOLS = {"grpc": 1, "gql": 2, "ws": 3}  # entries.md §1, numbering ours
RAW = frozenset({"tcp", "udp", "sctp"})
"""Protocols whose event is bytes that nobody understood."""

REQUEST, RESPONSE, EVENT = MessageKind  # as names of a module: looked up on an enum they cost a call
NONE: Mapping[str, Any] = MappingProxyType({})
CAPTURE_SOURCES = {"file": 100, "keylog": 101, "af_packet": 1, "ebpf_tls": 3}

SHAPE: dict[str, Any] = {
    "id": "",
    "index": 0,
    "stream": "",
    "worker": "",
    "node": None,
    "protocol": None,
    "tls": False,
    "src": None,
    "dst": None,
    "timestamp": 0,
    "startTime": "",
    "request": None,
    "response": None,
    "requestRef": "",
    "responseRef": "",
    "requestSize": 0,
    "responseSize": 0,
    "elapsedTime": 0,
    "passed": False,
    "failed": False,
    "error": None,
    "entryFile": "",
    "record": "",
    "event": None,
    "eventRef": "",
    "base": None,
    "capture": None,
    "checksums": None,
    "duplicate": "",
    "data": None,
    "dataRef": "",
    "size": 0,
    "matcherKey": "",
    "networkProps": None,
    "captureSource": 0,
    "subProtocol": 0,
}
"""Every key of a document in its order: a copy and twenty values cost half of what such a display does."""


class EntryId(NamedTuple):
    """`<segment>-<flow>-<n>`; n is a number, or "conn" or "flow" for the connection itself."""

    segment: str
    flow: int
    number: str

    def __str__(self) -> str:
        return f"{self.segment}-{self.flow}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> EntryId | None:
        """Read an id from the right (names of nodes contain dashes); None if it cannot be one."""
        found = re.fullmatch(r"(.+)-(\d{1,10})-(\d{1,10}|conn|flow)", text, re.ASCII)
        return cls(found[1], int(found[2]), found[3]) if found else None


class EntryError(Struct, frozen=True):
    """Why an entry is half or damaged (entries.md §1, half connections)."""

    type: str  # dissection, connection, timeout, pair-not-found
    message: str


@dataclass(slots=True, eq=False, weakref_slot=True)
class Entry:
    """One dissected exchange. Values stay valid as long as the entry lives; it holds the packets it was made of."""

    entry_id: EntryId
    protocol: ProtocolSpec
    exchange: Exchange
    facts: StreamFacts
    error: EntryError | None = None
    plugin: str = ""  # id@version of a foreign dissector
    tags: tuple[str, ...] = ()  # from enrich
    annotations: tuple[str, ...] = ()  # variables that enrich set
    is_redacted: bool = False  # its bytes are withheld
    passed: bool = False  # verdicts of scripts
    failed: bool = False
    amended: Mapping[str, Any] | None = None  # keys of the document that scripts changed
    _variables: EntryVariables | None = None  # made when somebody asks: documents need none of them
    _details: dict[int, tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=dict)
    """By kind: (variables that came with the document, document)."""

    @property
    def variables(self) -> EntryVariables:
        """Its KFL variables."""
        if self._variables is None:
            self._variables = EntryVariables(self)
            for kind, (late, _) in self._details.items():
                self._variables.add(late, wins=kind == MessageKind.REQUEST)
        return self._variables

    @property
    def id(self) -> str:
        return str(self.entry_id)

    @property
    def src(self) -> Endpoint:
        return self.facts.client

    @property
    def dst(self) -> Endpoint:
        return self.facts.server

    @property
    def start_ns(self) -> int:
        """Time of the first packet, in nanoseconds since 1970."""
        return self.exchange.first.start_ns

    @property
    def elapsed_ns(self) -> int:
        request, response = self.exchange.request, self.exchange.response
        return max(0, response.end_ns - request.start_ns) if request and response else 0

    def get(self, variable: str) -> Any:
        """Return the value of a KFL variable, its type's default if this entry lacks it."""
        return self.variables[variable]

    def messages(self) -> list[Timed]:
        exchange = self.exchange
        return [timed for timed in (exchange.request, exchange.response, exchange.event) if timed]

    def message(self, kind: MessageKind) -> Message | None:
        timed = self._half(kind)
        return timed.message if timed else None

    def _half(self, kind: MessageKind) -> Timed | None:
        return (self.exchange.request, self.exchange.response, self.exchange.event)[kind]

    def raw(self, kind: MessageKind) -> bytes:
        """Return the bytes of one half as they were on the wire; b"" if it was not seen, or the entry is redacted."""
        message = self.message(kind)
        return self.facts.bytes_of(message) if message and not self.is_redacted else b""

    def moments(self) -> list[Moment]:
        """Return when its halves and their parts were seen, in time order; of a connection, its milestones."""
        if self.entry_id.number == "conn":
            found = [Moment(*milestone) for milestone in self.facts.milestones()]
        else:
            found = [moment for timed in self.messages() for moment in self._moments_of(timed)]
        return sorted(found, key=lambda moment: moment.time_ns)

    def _moments_of(self, timed: Timed) -> Iterator[Moment]:
        message, kind = timed.message, timed.message.kind
        name = kind.name.lower()
        yield Moment(
            timed.start_ns, kind, message.direction, name if timed.start_ns == timed.end_ns else f"{name} begins"
        )
        for offset, label in message.parts() if message.parts else ():
            yield Moment(self.facts.time_at(message.direction, offset), kind, message.direction, label)
        if timed.start_ns != timed.end_ns:
            yield Moment(timed.end_ns, kind, message.direction, f"{name} ends")

    def size(self, kind: MessageKind) -> int:
        return _size(self._half(kind))

    def detail(self, kind: MessageKind) -> Mapping[str, Any] | None:
        """Return the `request`, `response` or event data object; None if that half was not seen. Built once."""
        timed = self._half(kind)
        if timed is None:
            return None
        if kind not in self._details:
            self._build(kind, timed)
        return self._details[kind][1]

    def _build(self, kind: MessageKind, timed: Timed) -> None:
        late, document = _detail_of(timed.message)
        if not timed.is_whole:
            late = NONE
        self._details[kind] = late, document
        if self._variables is not None:
            self._variables.add(late, wins=kind == REQUEST)

    def build(self) -> None:
        """Build every heavy variable and document."""
        exchange = self.exchange
        for kind, timed in ((RESPONSE, exchange.response), (REQUEST, exchange.request), (EVENT, exchange.event)):
            if timed is not None and kind not in self._details:
                self._build(kind, timed)

    def show_only(
        self, variables: Mapping[str, Value], documents: Mapping[MessageKind, Mapping[str, Any]], exchange: Exchange
    ) -> None:
        """Replace the content: what is not given is gone, the bytes too. What the index knows stays."""
        self.exchange = exchange
        self._details = {kind: (NONE, documents.get(kind, {})) for kind in MessageKind if self._half(kind)}
        self.is_redacted = True
        self._variables = EntryVariables(self)
        self._variables.update(variables)
        if self.tags:
            self._variables["tags"] = list(self.tags)

    def withheld_because(self, reason: str) -> None:
        """Say why nothing is shown."""
        self.error = EntryError("dissection", f"withheld: {reason}")

    def forget_documents(self) -> None:
        """The whole entry is worked out anew when it is next asked for."""
        if self._variables is not None:
            self._variables.pop(ENTRY, None)

    def unbuild(self) -> None:
        """Let go of documents and heavy variables, not of what `enrich` set: they are built again when asked for."""
        self._details.clear()
        made = self._variables  # a lazy entry may have the same ones
        if made is None:
            return
        left = EntryVariables(self)
        left.update({name: made[name] for name in self.annotations})
        if self.tags:
            left["tags"] = list(self.tags)
        made.clear()
        made.update(left)

    @property
    def is_built(self) -> bool:
        return bool(self._details)

    @property
    def total_size(self) -> int:
        """Bytes of request and response, or of the event."""
        messages = [timed.message for timed in self.messages()]
        return sum(message.end - message.start - message.interleaved for message in messages)

    def whole(self) -> Entry:
        """Return the entry with everything in it, for whoever changes it: a row of a table only shows its columns."""
        return self

    def document(self) -> Mapping[str, Any]:
        """Return the JSON entry; the same as `to_dict`, which plugins know by this name."""
        return self.to_dict()

    def row(self) -> dict[str, Any]:
        """Return the row of a list (entries.md §5)."""
        return self.facts.origin.display.row(self)

    def representation(self) -> Representation:
        """Return the sections that show this entry, from the renderer that knows it best."""
        return self.facts.origin.display.representation(self)

    def wrapper(self) -> dict[str, Any]:
        """Return what a detail view needs: {protocol, representation, data, base}."""
        return {
            "protocol": self.protocol_document(),
            "representation": representation_document(self.representation()),
            "data": self.to_dict(),
            "base": self.row(),
        }

    def who(self, end: Endpoint) -> Who | None:
        """Return what is known of one of its ends; None where no names are known at all."""
        names = self.facts.origin.names
        return None if names is None else names.at(end.ip, self.start_ns)

    def _resolution(self, end: Endpoint) -> dict[str, Any]:
        who = self.who(end)
        return resolution(end) if who is None else who.fill(resolution(end))

    def node(self) -> dict[str, str]:
        """Return name and address of the node that captured it, as names knew it then; empty texts if they did not."""
        names = self.facts.origin.names
        known = None if names is None else names.node(self.facts.captured_on, self.start_ns)
        return {"name": known.name, "ip": known.addresses[0]} if known else {"name": "", "ip": ""}

    def error_document(self) -> dict[str, str] | None:
        return {"type": self.error.type, "msg": self.error.message} if self.error else None

    def capture_document(self) -> dict[str, Any]:
        backend, source = self.facts.origin.source, self.facts.source
        return {"backend": backend, "source": source, "proxy": None, "vlan": self.facts.vlan_document()}

    def protocol_document(self) -> dict[str, Any]:
        """Return the protocol as entries show it (entries.md §2)."""
        document = self.facts.origin.protocol_document(self.protocol)
        if version := self._http_version().partition("/")[2]:
            document["version"] = version
        return document

    def _http_version(self) -> str:
        """Return the KFL variable `http_version`, without making the others."""
        if self._variables is not None:
            return str(self._variables["http_version"])
        for timed in (self.exchange.request, self.exchange.response, self.exchange.event):
            if timed and timed.is_whole and "http_version" in timed.message.fields:
                return str(timed.message.fields["http_version"])
        return ""

    def _frame(self) -> dict[str, Any]:
        """Return a document with what all entries of its stream and protocol have in common, whatever is nested new."""
        facts = self.facts
        frames, which = facts.frames, (id(self.protocol), self._http_version())
        if (known := frames.get(which)) is None:
            known = frames[which] = self._common()
        document = known.copy()
        document["protocol"] = known["protocol"].copy()
        document["networkProps"] = known["networkProps"].copy()
        document["capture"] = known["capture"].copy() if known["capture"]["vlan"] is None else self.capture_document()
        if facts.origin.names is None:
            document["src"], document["dst"] = known["src"].copy(), known["dst"].copy()
        else:
            document["src"], document["dst"] = self._resolution(self.src), self._resolution(self.dst)
        return document

    def _common(self) -> dict[str, Any]:
        facts = self.facts
        common = {
            **SHAPE,
            "stream": facts.stream,
            "worker": facts.node,
            "protocol": self.protocol_document(),
            "tls": facts.is_decrypted,
            "capture": self.capture_document(),
            "networkProps": facts.network_props(),
            "captureSource": CAPTURE_SOURCES.get(facts.source, 0),
            "subProtocol": SUB_PROTOCOLS.get(self.protocol.flag, 0),
        }
        common["src"], common["dst"] = facts.ends_documents()
        if facts.origin.file:
            common["file"] = facts.origin.file
        if facts.nodes:
            common["nodes"] = facts.nodes
        return common

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as JSON (entries.md §1), every key in its order."""
        self.build()
        return self.passing_document()

    def passing_document(self) -> dict[str, Any]:
        """Return the same as `to_dict`, and keep nothing of what had to be built for it."""
        exchange, number = self.exchange, self.entry_id.number
        request, response, event = exchange.request, exchange.response, exchange.event
        first = exchange.first
        start_ns, request_size, response_size = first.start_ns, _size(request), _size(response)
        document = self._frame()
        document["id"] = str(self.entry_id)
        if number.isdecimal():
            document["index"] = int(number)
        document["timestamp"] = start_ns // 1_000_000
        document["startTime"] = rfc3339(start_ns)
        document["response"] = self._said(RESPONSE, response) if response else None
        document["request"] = self._said(REQUEST, request) if request else None
        document["requestSize"], document["responseSize"] = request_size, response_size
        if request and response:
            document["elapsedTime"] = max(0, response.end_ns - start_ns) // 1_000_000
        document["passed"], document["failed"] = self.passed, self.failed
        if self.error:
            document["error"] = self.error_document()
        document["entryFile"] = f"{document['stream']}-{number}_entry.json"
        document["checksums"] = []
        document["size"] = request_size + response_size + _size(event)
        document["matcherKey"] = first.message.key
        if event:
            said = self._said(EVENT, event)
            if self.protocol.name in RAW:
                document["data"] = said
            else:
                document["event"] = {"source": "packets", "type": self.protocol.name, "data": said}
        if self.tags:
            document["tags"] = list(self.tags)
        if self.annotations:
            document["annotations"] = {name: self.variables[name] for name in self.annotations}
        if self.plugin:
            document["plugin"] = self.plugin
        if self.amended:
            document.update(self.amended)
        return document

    def _said(self, kind: MessageKind, timed: Timed) -> Mapping[str, Any]:
        """Return the document of one half: the one that is built, or one that is not kept."""
        built = self._details.get(kind)
        return _detail_of(timed.message)[1] if built is None else built[1]


class EntryVariables(dict[str, Any]):
    """The KFL variables of one entry: those of the summary at once, others when asked for, defaults for the rest.

    They last as long as it does. It holds them, and they do not hold it: packets are freed with the last entry, and
    wait for no collector of cycles.
    """

    __slots__ = ("_entry",)

    def __init__(self, entry: Entry) -> None:
        self._entry = weakref.ref(entry)
        exchange = entry.exchange
        for timed in (exchange.event, exchange.response, exchange.request):  # the request's values win
            if timed and timed.is_whole:
                self.update(timed.message.fields)
        protocol = entry.protocol
        for flag in protocol.flags:
            self[flag] = True
        self["protocol"] = protocol_name(protocol)
        self["timestamp"] = exchange.first.start_ns
        facts = entry.facts
        self["src.ip"], self["src.port"] = facts.client.ip, facts.client.port
        self["dst.ip"], self["dst.port"] = facts.server.ip, facts.server.port
        self["transport"] = facts.transport
        self["tls"] = facts.is_decrypted

    def add(self, late: Mapping[str, Any], *, wins: bool) -> None:
        """Take what came with a document; `wins`: also in place of what is here."""
        for name, value in late.items():
            if wins or name not in self:
                self[name] = value

    def __missing__(self, name: str) -> Any:
        entry = self._entry()
        assert entry is not None, "its entry is gone"
        late = LATE.get(name)
        names = entry.facts.origin.names
        value: Value
        if late is not None:
            value = late(entry)
        elif names is not None and name in NAMED:
            value = names.value(name, entry.src.ip, entry.dst.ip, entry.start_ns)
        else:
            variable = entry.facts.origin.variables.get(name)
            if variable is None:
                raise KeyError(name)
            if variable.is_heavy:
                entry.build()
                if name in self:
                    return dict.__getitem__(self, name)
            value = entry.total_size if name == f"{entry.protocol.flag}_total_size" else variable.default
        self[name] = value
        return value


def protocol_name(protocol: ProtocolSpec) -> str:
    """Return the KFL variable `protocol`; HTTP/2 is HTTP."""
    return _name_of(protocol.abbr)


@functools.cache
def _name_of(abbr: str) -> str:
    return "".join(filter(str.isalnum, abbr.partition("/")[0])).upper()


LATE: dict[str, Callable[[Entry], Any]] = {
    ENTRY: lambda entry: entry.to_dict(),
    "id": lambda entry: entry.id,
    "index": lambda entry: int(entry.entry_id.number) if entry.entry_id.number.isdecimal() else 0,
    "stream": lambda entry: entry.facts.stream,
    "elapsed_time": lambda entry: entry.elapsed_ns // 1_000,
    "conn_id": lambda entry: entry.facts.conn_id,
    "flow_id": lambda entry: entry.facts.flow_id,
    "has_pcap": lambda _: True,
    "capture_source": lambda entry: entry.facts.source,
    "capture_backend": lambda entry: entry.facts.origin.source,
    "capture_source_code": lambda entry: CAPTURE_SOURCES.get(entry.facts.source, 0),
    "capture": lambda entry: {"source": entry.facts.source, "backend": entry.facts.origin.source},
    "error": lambda entry: entry.error is not None,
    "error_type": lambda entry: entry.error.type if entry.error else "",
    "error_message": lambda entry: entry.error.message if entry.error else "",
    "file": lambda entry: entry.facts.origin.file,
    "worker": lambda entry: entry.facts.node,
    "node_id": lambda entry: entry.facts.node,
    "node_name": lambda entry: entry.node()["name"],
    "node_ip": lambda entry: entry.node()["ip"],
    "node": lambda entry: entry.node(),
    "nodes": lambda entry: entry.facts.nodes,
    "vlan_id": lambda entry: entry.facts.vlan,
    "tunnel": lambda entry: entry.facts.tunnel,
    "tls_info": lambda entry: entry.variables["protocol"] if entry.facts.is_decrypted else "",
    "tls_summary": lambda entry: entry.row()["summary"] if entry.facts.is_decrypted else "",
    "tls_request_size": lambda entry: entry.size(MessageKind.REQUEST) if entry.facts.is_decrypted else 0,
    "tls_response_size": lambda entry: entry.size(MessageKind.RESPONSE) if entry.facts.is_decrypted else 0,
    "tls_total_size": lambda entry: entry.total_size if entry.facts.is_decrypted else 0,
    "tcp_retransmissions": lambda entry: entry.facts.retransmissions,
    "tcp_out_of_order": lambda entry: entry.facts.out_of_order,
    "tcp_gaps": lambda entry: entry.facts.gaps,
    "tcp_rtt_us": lambda entry: entry.facts.rtt_us,
}
"""Variables of every entry that are worked out only when asked for."""


def _detail_of(message: Message) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return message.detail() if message.detail else (NONE, dict(message.fields))


def _size(timed: Timed | None) -> int:
    """Return the bytes of one half, 0 if it was not seen."""
    return timed.message.end - timed.message.start - timed.message.interleaved if timed else 0
