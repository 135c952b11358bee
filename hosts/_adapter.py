"""A foreign plugin as the pipeline sees it: the hooks of extension_api/_hookspecs.py, answered by a child process.

Nothing a plugin does raises here: what it could not answer is missing, or has an error in its place, and a problem is
noted for the user.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kubeshark.errors import PluginCrashed, PluginError
from kubeshark.extension_api._answers import AnswerError, Report, parse_cells, parse_enrichment, parse_report
from kubeshark.extension_api._batch import Batch, Columns, decode_columns
from kubeshark.extension_api._frame import (
    DISSECT,
    ENRICH,
    FILTER,
    JOB,
    MAX_FRAME_ITEMS,
    MAX_FRAME_PAYLOAD,
    MAX_ITEM_BYTES,
    PACKET_FILTER,
    PROBE,
    RENDER,
    SEGMENT_SEALED,
    SUMMARIZE,
    FrameError,
    FrameItem,
    ItemFlag,
    decode_filter,
    decode_packets,
    decode_probe,
    decode_render,
    decode_texts,
    encode_values,
)
from kubeshark.extension_api._hookspecs import PROBE_BYTES
from kubeshark.extension_api._manifest import DOCUMENT, HOOK_NUMBERS, Manifest
from kubeshark.extension_api._markers import hookimpl
from kubeshark.extension_api._models import (
    Enrichment,
    EnrichSpec,
    EntryView,
    FilterSpec,
    JobSpec,
    Message,
    MessageKind,
    Packet,
    PacketVerdict,
    ProtocolSpec,
    Representation,
    SealedSegment,
    Stream,
    Value,
    VariableType,
    Verdict,
)
from kubeshark.extension_api._representation import RepresentationError, parse_representation
from kubeshark.hosts._answered import Answer, Answered, AnsweredItem, Shared
from kubeshark.hosts._feed import TRANSPORTS, Found, Lane, frames, lanes_of
from kubeshark.hosts._supervisor import Decoder, PluginProcess, PluginState, PluginStatus, Poison, Supervision
from kubeshark.hosts.broker import Broker

__all__ = ["ForeignPlugin"]

MAX_PROBLEMS = 100  # kept until somebody takes them
HURRIED_ITEMS = 256  # packets a frame: they share the little time there is
RENDER_BYTES = MAX_ITEM_BYTES // 2  # of each half: both fit one frame

T = TypeVar("T")


class ForeignPlugin:
    """One installed plugin; register it with pluggy under `name`. The process starts with the first call.

    `environment` is what the plugin was granted of ours; it gets nothing else. `settings` are the values of the
    manifest's settings, all of them, in its order. `broker` does what the plugin asks for and was granted;
    `digest` is what was installed, "" for a folder.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        supervision: Supervision | None = None,
        environment: Mapping[str, str] | None = None,
        settings: Sequence[Value] = (),
        broker: Broker | None = None,
        digest: str = "",
    ) -> None:
        self.manifest = manifest
        self.digest = digest
        self.name = manifest.label
        self.process = PluginProcess(folder, manifest, supervision, environment, settings, broker)
        self._problems: list[PluginError] = []
        # The process is configured, started and stopped where it begins and ends: not by the pipeline.
        for hook in HOOK_NUMBERS.keys() - (set(manifest.hooks) - {"configure", "start", "stop"}):
            setattr(self, hook, None)  # pluggy takes a hook for implemented if it finds a method
        for hook, declarations in (("enriches", manifest.enrich), ("jobs", manifest.jobs)):
            if not declarations:
                setattr(self, hook, None)

    @property
    def status(self) -> PluginStatus:
        return self.process.status

    @property
    def is_out(self) -> bool:
        """It is quarantined: nothing is asked of it any more, what its own packets say among it."""
        return self.process.state is PluginState.QUARANTINED

    @property
    def summarizes(self) -> str:
        """The name of the protocol whose entries alone it summarizes; "": it wants to see all."""
        return self.manifest.protocol.name if self.manifest.protocol else ""

    @property
    def summary_reads(self) -> Sequence[str]:
        """The KFL variables that `summarize` is given of an entry."""
        return self.manifest.summarize.reads if self.manifest.summarize else ()

    def take_problems(self) -> list[PluginError]:
        """Return what went wrong since the last time, at most MAX_PROBLEMS, each once."""
        problems, self._problems = self._problems, []
        return problems

    def take_log(self) -> list[str]:
        """Return the lines that the plugin logged since the last time."""
        return self.process.take_log()

    def close(self) -> None:
        """End the process; twice is fine."""
        self.process.close()

    @hookimpl
    def protocols(self) -> Sequence[ProtocolSpec]:
        """See extension_api: the manifest's protocol."""
        spec = self.manifest.protocol_spec
        return [spec] if spec else []

    @hookimpl
    def filters(self) -> Sequence[FilterSpec]:
        """See extension_api: the manifest's filters."""
        return self.manifest.filter_specs

    @hookimpl
    def enriches(self) -> EnrichSpec:
        """See extension_api: the manifest's [enrich]."""
        return self.manifest.enrich_spec

    @hookimpl
    def jobs(self) -> Sequence[JobSpec]:
        """See extension_api: the manifest's jobs."""
        return self.manifest.job_specs

    @hookimpl
    def packet_filter(self, packets: Sequence[Packet]) -> Sequence[PacketVerdict | None]:
        """See extension_api. None where the plugin failed or was not asked: it had no time."""
        items = [
            FrameItem(packet.data, at, max(0, packet.time_ns), argument=packet.length, base=packet.link_type)
            for at, packet in enumerate(packets)
        ]
        answers = self._call(PACKET_FILTER, items, lambda result, part: decode_packets(result, len(part)), hurried=True)
        return [None if isinstance(answer, Poison) else answer for answer in answers]

    @hookimpl
    def segment_sealed(self, segment: SealedSegment) -> None:
        """See extension_api."""
        values = [getattr(segment, field.name) for field in dataclass_fields(segment)]
        self._report(SEGMENT_SEALED, FrameItem(encode_values(values)))

    @hookimpl
    def job(self, job: str, due_ns: int) -> None:
        """See extension_api."""
        names = [spec.name for spec in self.manifest.job_specs]
        self._report(JOB, FrameItem(encode_values([due_ns]), argument=names.index(job)))

    @hookimpl
    def enrich(self, entries: Sequence[EntryView]) -> Sequence[Enrichment | None]:
        """See extension_api. An enrichment with a failure where the plugin failed."""
        spec = self.manifest.enrich_spec
        answers: list[Enrichment | None] = [Enrichment(failure="is too large for the plugin")] * len(entries)
        items = []
        for index, entry in enumerate(entries):
            values = encode_values([_read(entry, name) for name in spec.reads])
            if len(values) <= MAX_ITEM_BYTES:
                items.append(FrameItem(values, index))

        def decode(result: memoryview, part: Sequence[FrameItem]) -> list[Enrichment | None]:
            found: list[Enrichment | None] = []
            for index, text in enumerate(decode_texts(result, ENRICH, len(part))):
                try:
                    found.append(parse_enrichment(text, spec.variables))
                except AnswerError as error:
                    raise FrameError(error.message, item=index) from error
            return found

        decided: list[Enrichment | Poison | None] = self._call(ENRICH, items, decode)
        for item, answer in zip(items, decided, strict=True):
            answers[item.stream] = Enrichment(failure=answer.reason) if isinstance(answer, Poison) else answer
        return answers

    @hookimpl
    def summarize(self, entry: EntryView) -> dict[str, Any] | None:
        """See extension_api. A plugin with a protocol of its own is asked for that one's entries only."""
        if self.summarizes and entry.protocol.name != self.summarizes:
            return None

        def decode(result: memoryview, items: Sequence[FrameItem]) -> list[dict[str, str | int] | None]:
            try:
                return [parse_cells(text) for text in decode_texts(result, SUMMARIZE, len(items))]
            except AnswerError as error:
                raise FrameError(error.message, item=0) from error  # one entry a frame

        values = encode_values([entry.get(name) for name in self.summary_reads])
        if len(values) > MAX_ITEM_BYTES:
            return None
        answer = self._call(SUMMARIZE, [FrameItem(values)], decode)[0]
        return None if isinstance(answer, Poison) else answer

    @hookimpl
    def probe(self, protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:  # noqa: ARG002
        """See extension_api. Mine if either side says so."""
        items, owners = [], []
        for index, stream in enumerate(streams):
            for item in _heads(stream, index):
                items.append(item)
                owners.append(index)
        answers = self._call(PROBE, items, lambda result, part: decode_probe(result, len(part)))
        verdicts = [Verdict.NOT_MINE] * len(streams)
        for owner, answer in zip(owners, answers, strict=True):
            if answer is Verdict.MINE or (answer is Verdict.NEED_MORE and verdicts[owner] is Verdict.NOT_MINE):
                verdicts[owner] = answer
        return verdicts

    @hookimpl
    def dissect(self, protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message]]:  # noqa: ARG002
        """See extension_api. A stream that the plugin fails on ends with a message that says so."""
        return [answered.messages() for answered in self.answer(streams)]

    def answer(self, streams: Sequence[Stream]) -> list[Answered]:
        """Do what `dissect` does, and leave the messages in columns until somebody asks for them."""
        turns = self.manifest.protocol is not None and self.manifest.protocol.order == "turns"
        by_stream = [lanes_of(stream, index, turns=turns) for index, stream in enumerate(streams)]
        active = [lane for lanes in by_stream for lane in lanes]
        while active:
            active = self._round(active)
        fields: list[tuple[str, VariableType]] = [(field.variable, field.type) for field in self.manifest.fields]
        return [Answered(lanes, fields, self._message) for lanes in by_stream]

    @hookimpl
    def filter(
        self, filter: FilterSpec, arguments: Sequence[Value], entries: Sequence[EntryView]
    ) -> Sequence[bool | None]:
        """See extension_api. None where the plugin failed."""
        argument = self.manifest.filter_specs.index(filter)
        answers: list[bool | None] = [None] * len(entries)
        items = []
        for index, entry in enumerate(entries):
            values = encode_values([*arguments, *(entry.get(name) for name in filter.reads)])
            if len(values) <= MAX_ITEM_BYTES:  # else: an error of the filter
                items.append(FrameItem(values, index, argument=argument))
        decided = self._call(FILTER, items, lambda result, part: decode_filter(result, len(part)))
        for item, answer in zip(items, decided, strict=True):
            answers[item.stream] = None if isinstance(answer, Poison) else answer
        return answers

    @hookimpl
    def render(self, entry: EntryView) -> Representation | None:
        """See extension_api. A plugin with a protocol of its own is asked for that one's entries only."""
        if self.manifest.protocol and entry.protocol.name != self.manifest.protocol.name:
            return None

        def decode(result: memoryview, items: Sequence[FrameItem]) -> list[Representation | None]:
            texts = decode_render(result, len(items) // 2)
            try:
                return [parse_representation(text, self.name) if text else None for text in texts]
            except RepresentationError as error:
                raise FrameError(error.message, item=0) from error  # one entry a frame

        started = time.perf_counter()
        answer = self._call(RENDER, _halves(entry), decode, per_unit=2)[0]
        micros = round((time.perf_counter() - started) * 1e6)
        return None if answer is None or isinstance(answer, Poison) else _timed(answer, micros)

    def _round(self, lanes: list[Lane]) -> list[Lane]:
        """Give every lane's next items to the plugin; return the lanes that go on."""
        items, owners = [], []
        for lane in lanes:
            for index, item in enumerate(lane.items()):
                items.append(item)
                owners.append((lane, index))
        answers = self._call(DISSECT, items, self._decode_dissect)
        going_on: dict[int, Lane] = {}
        for (lane, index), answer in zip(owners, answers, strict=True):
            if isinstance(answer, Poison):
                if answer.skipped:
                    continue
                lane.take(index, f"plugin {self.name} {answer.reason}")
            else:
                lane.take(index, answer)
            going_on[id(lane)] = lane
        return list(going_on.values())

    def _decode_dissect(self, result: memoryview, items: Sequence[FrameItem]) -> list[AnsweredItem]:
        assert isinstance(items, Batch)  # _call makes it of what it is given
        answer = Answer(decode_columns(result, items, self.manifest.field_types))
        return [AnsweredItem(answer, item) for item in range(len(items))]

    def columns(self, batch: Batch) -> list[Columns]:
        """Let `dissect` read items as they are, without streams: the batch path, where an item costs no object.

        In order, a frame or a part of one each; `Columns.batch` is the part. Items that the plugin failed on are in
        none of them, and `take_problems` says why.
        """

        def decode(result: memoryview, items: Sequence[FrameItem]) -> Sequence[Columns]:
            assert isinstance(items, Batch)
            return Shared(decode_columns(result, items, self.manifest.field_types), len(items))

        answers: list[Columns] = []
        for part in batch.frames(self.process.frame_size.bounds):
            found = self.process.call(DISSECT, batch[part], decode)
            if found[0] is found[-1] and isinstance(found[0], Columns):
                answers.append(found[0])  # the rule
                continue
            self._note(DISSECT, found)
            answers += {id(each): each for each in found if isinstance(each, Columns)}.values()
        return answers

    def _call(
        self,
        hook: int,
        items: Sequence[FrameItem],
        decode: Decoder[T],
        per_unit: int = 1,
        *,
        hurried: bool = False,
    ) -> list[T | Poison]:
        """Run items of any number; note each new reason for a failure."""
        answers: list[T | Poison] = []
        bounds = lambda: (HURRIED_ITEMS if hurried else MAX_FRAME_ITEMS, MAX_FRAME_PAYLOAD)  # noqa: E731
        if hook == DISSECT:
            bounds = self.process.frame_size.bounds
        for part in frames(items, bounds) if per_unit == 1 else [slice(None)]:
            if hurried:
                answers += self.process.call_hurried(hook, items[part], decode)
            else:  # a frame at a time: a batch is a copy
                given = Batch.of(items[part]) if hook == DISSECT else items[part]
                answers += self.process.call(hook, given, decode, per_unit=per_unit)
        self._note(hook, answers)
        return answers

    def _note(self, hook: int, answers: Sequence[object]) -> None:
        """Keep each new reason for a failure."""
        known = {problem.message for problem in self._problems}
        for answer in answers:
            if isinstance(answer, Poison) and len(self._problems) < MAX_PROBLEMS:
                problem = PluginCrashed(answer.reason, plugin=self.name, hook=_HOOK_NAMES[hook])
                if problem.message not in known:
                    known.add(problem.message)
                    self._problems.append(problem)

    def _report(self, hook: int, item: FrameItem) -> None:
        """Run a hook that only reports; PluginError if it fails or refuses."""

        def decode(result: memoryview, items: Sequence[FrameItem]) -> list[Report]:
            try:
                return [parse_report(text) for text in decode_texts(result, hook, len(items))]
            except AnswerError as error:
                raise FrameError(error.message, item=0) from error

        answer = self.process.call(hook, [item], decode)[0]
        if isinstance(answer, Poison):
            raise PluginCrashed(answer.reason, plugin=self.name, hook=_HOOK_NAMES[hook])
        self.process.log(answer.log)
        if answer.error:
            raise PluginError(f"{_HOOK_NAMES[hook]}: {answer.error}", plugin=self.name)

    def _message(self, found: Found) -> Message:
        message = found.message
        if message is None:
            return Message(
                MessageKind.RESPONSE if found.direction else MessageKind.REQUEST,
                found.direction,
                found.start,
                found.end,
                found.datagram,
                error=found.error,
                one_way=True,
            )
        fields = self.manifest.fields
        values = message.fields
        return Message(
            message.kind,
            found.direction,
            found.start,
            found.end,
            found.datagram,
            fields={fields[number].variable: value for number, value in values.items() if fields[number].variable},
            key=f"{message.key:#x}" if message.key else "",
            one_way=message.one_way,
            final=not message.interim,
            error=message.error,
            detail=lambda: ({}, self._document(values)),
        )

    def _document(self, values: Mapping[int, Value]) -> dict[str, Any]:
        return {self.manifest.fields[number].name: _json_value(value) for number, value in values.items()}


_HOOK_NAMES = {number: name for name, number in HOOK_NUMBERS.items()}


def _read(entry: EntryView, name: str) -> Value:
    return msgspec.json.encode(entry.document()).decode() if name == DOCUMENT else entry.get(name)


def _json_value(value: Value) -> Any:
    """Bytes as JSON entries show them: text if they are, base64 otherwise (entries.md §6)."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(value).decode("ascii")


def _heads(stream: Stream, index: int) -> list[FrameItem]:
    """The first bytes of each side that has any."""
    ports = stream.client.port, stream.server.port
    transport = TRANSPORTS.get(stream.transport, 255)
    items = []
    if stream.transport == "tcp":
        for direction, side in enumerate(stream.sides):
            if len(side.data):
                flags = ItemFlag.FIRST if len(side.data) > PROBE_BYTES else ItemFlag.FIRST | ItemFlag.LAST
                flags |= ItemFlag.GAP if side.starts_midway else 0
                head = side.data[:PROBE_BYTES]
                items.append(FrameItem(head, index, side.time_at(0), direction, transport, flags, *ports))
        return items
    seen: set[int] = set()
    for datagram in stream.datagrams:
        if datagram.direction not in seen:
            seen.add(datagram.direction)
            cut = datagram.cut or len(datagram.data) > PROBE_BYTES
            flags = ItemFlag.FIRST | ItemFlag.LAST | (ItemFlag.CUT if cut else 0)
            head = datagram.data[:PROBE_BYTES]
            items.append(FrameItem(head, index, datagram.time_ns, datagram.direction, transport, flags, *ports))
            if len(seen) == 2:
                break
    return items


def _timed(shown: Representation, micros: int) -> Representation:
    halves = (shown.request, shown.response, shown.event, shown.data)
    return Representation(shown.priority, *(tuple(replace(part, micros=micros) for part in half) for half in halves))


def _halves(entry: EntryView) -> list[FrameItem]:
    """The raw request (or event) and response of an entry, with the time of each one's first packet."""
    times = [0, 0]
    for moment in reversed(entry.moments()):
        times[moment.half == MessageKind.RESPONSE] = moment.time_ns
    halves = [entry.raw(MessageKind.REQUEST) or entry.raw(MessageKind.EVENT), entry.raw(MessageKind.RESPONSE)]
    transport = TRANSPORTS.get(str(entry.get("transport")), 255)
    client, server = entry.get("src.port"), entry.get("dst.port")
    return [
        FrameItem(
            raw[:RENDER_BYTES],
            0,
            times[direction],
            direction,
            transport,
            ItemFlag.FIRST | ItemFlag.LAST | (ItemFlag.CUT if len(raw) > RENDER_BYTES else 0),
            client if isinstance(client, int) else 0,
            server if isinstance(server, int) else 0,
        )
        for direction, raw in enumerate(halves)
    ]
