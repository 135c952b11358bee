"""Entries made of dissected messages, for tests: what renderers see, and what KFL evaluates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubeshark.extension_api import Message, MessageKind, Moment, ProtocolSpec
from kubeshark.pipeline.kfl import VARIABLES, compile_filter

PARTS = ("request", "response", "event")


class Row(dict[str, Any]):
    """Variables with their types' defaults for the rest."""

    def __init__(self, values: Mapping[str, Any], spec: ProtocolSpec) -> None:
        super().__init__(values)
        self.types = VARIABLES
        for name, kind in {spec.flag: "bool", **spec.variables}.items():
            self.types = self.types.with_plugin(name, kind)

    def __missing__(self, name: str) -> Any:
        return self.types[name].default


@dataclass
class FakeEntry:
    protocol: ProtocolSpec
    messages: tuple[Message, ...]
    id: str = "0-0-0"
    row: Row = field(init=False)
    seen: list[Moment] = field(default_factory=list)

    def __post_init__(self) -> None:
        ends = {"src.ip": "192.0.2.1", "src.port": 40000, "dst.ip": "192.0.2.2", "dst.port": 80}
        self.row = Row({self.protocol.flag: True, **ends}, self.protocol)
        self.parts: dict[str, Any] = dict.fromkeys((*PARTS, "data"))
        for message in reversed(self.messages):
            late, document = message.detail() if message.detail else ({}, dict(message.fields))
            self.row |= {**message.fields, **late}
            self.parts[PARTS[message.kind]] = document
        if self.parts["event"] is not None and self.protocol.name in ("tcp", "udp", "sctp"):
            self.parts["data"], self.parts["event"] = self.parts["event"], None
        elif self.parts["event"] is not None:
            self.parts["event"] = {"source": "packets", "type": self.protocol.name, "data": self.parts["event"]}

    def get(self, variable: str) -> Any:
        return self.row[variable]

    def document(self) -> Mapping[str, Any]:
        return self.parts

    def raw(self, kind: MessageKind) -> bytes:
        return b""

    def moments(self) -> list[Moment]:
        return self.seen

    def is_selected_by(self, kfl: str) -> bool:
        return compile_filter(kfl, now_ns=0, variables=self.row.types).matches(self.row)
