"""Representations of halves: only what is there is shown, and only of the module's protocol."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import Message, MessageKind, ProtocolSpec, Section, TableRow
from kubeshark.pipeline.renderers._halves import attributes, halves, titled
from tests.pipeline.renderers._entries import FakeEntry

FRUIT = ProtocolSpec("fruit", "FRUIT", "Fruit", macro="fruits", variables={"fruit_kind": "string"})
NAMES = {"fruit_kind": "Kind"}


def message(kind: MessageKind, **fields: Any) -> Message:
    return Message(kind, 0, 0, 0, fields=fields)


def test_each_half_is_shown_by_its_own() -> None:
    render = halves("fruit", titled("Asked", NAMES, attributes), lambda _, half: (Section("code", half["fruit_kind"]),))
    asked = message(MessageKind.REQUEST, fruit_kind="apple", attributes=[{"name": "weight", "value": 3}])
    shown = render(entry=FakeEntry(FRUIT, (asked, message(MessageKind.RESPONSE, fruit_kind="pear"))))
    assert shown.request == (
        Section("table", "Asked", rows=(TableRow("Kind", "apple", "fruit_kind"),)),
        Section("table", "Attributes", rows=(TableRow("weight", 3),)),
    )
    assert (shown.response, shown.event) == ((Section("code", "pear"),), ())


def test_what_is_not_there_is_not_shown() -> None:
    render = halves("fruits", titled("Asked", NAMES, attributes), titled("Told", {}, attributes))
    shown = render(entry=FakeEntry(FRUIT, (message(MessageKind.EVENT, fruit_kind="fig"),)))
    assert (shown.request, shown.response, shown.event) == ((), (), ())
    assert render(entry=FakeEntry(ProtocolSpec("stone", "STONE", "Stone"), ())) is None
