"""The JavaScript SDK and its host: values both ways, and scripts that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.extension_api._frame import (
    DISSECT,
    FILTER,
    RENDER,
    REQUEST_BYTES,
    RESULT_BYTES,
    FrameItem,
    decode_dissect,
    decode_filter,
    decode_render,
    encode_request,
    encode_values,
)
from kubeshark.extension_api._manifest import parse_manifest
from kubeshark.hosts._instance import InstanceError
from kubeshark.hosts.js._instance import JsInstance, open_instance, prepare

TYPES = {"s": "string", "i": "int", "t": "timestamp", "d": "double", "b": "bool", "y": "bytes", "l": "list", "m": "map"}
MANIFEST = parse_manifest(
    b"""
    id = "echo"
    version = "1.0.0"
    abi = 1
    language = "js"
    entry = "echo.js"
    hooks = ["dissect", "filter", "render"]
    limits = {batch_ms = 2000, memory_mb = 64}
    protocol = {name = "echo", abbr = "ECHO", long_name = "Echo"}
    filters = [{name = "echo_is", parameters = ["string"], reads = ["echo_s"]}]
    """
    + "".join(f'[[fields]]\nname = "{name}"\ntype = "{kind}"\n' for name, kind in TYPES.items()).encode()
)
ECHO = """
const dissect = (item, out) => {
  const end = item.bytes.length;
  out.message({ kind: "event", start: 0, end, fields: eval("(" + item.text() + ")") });
  return end;
};
const filters = {
  echo_is: ([wanted], text) => {
    if (text === "?") throw new kubeshark.FilterError("not decided");
    return text === wanted;
  },
};
const shown = (item) => ({ priority: 1, request: [{ type: "body", title: item.text(0, 9) }] });
const render = (request) => (request.bytes.length ? shown(request) : null);
kubeshark.plugin({ dissect, filters, render });
"""
READING = """
kubeshark.plugin({
  dissect(item, out) {
    const at = item.find(58), found = [at, item.find(58, at + 1), item.find(58, 3, 40), item.find(255), item.length];
    const same = [item.equals(0, 4, "host"), item.equals(1, 5, "host"), item.equals(0, 99, "host")];
    same.push(item.at(0), item.at(-1), item.at(99));
    const numbers = [item.decimal(5, 8), item.decimal(0, 4), item.decimal(5, 5), item.decimal(0, 99)];
    const fields = { s: JSON.stringify([found, same, numbers]) };
    out.message({ kind: "event", start: 0, end: item.length, fields });
    return item.length;
  },
  filters: { echo_is: () => true },
  render: () => null,
});
"""
Load = Callable[[str], JsInstance]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    opened: list[JsInstance] = []

    def begin(script: str) -> JsInstance:
        (tmp_path / "echo.js").write_text(script, "utf-8")
        opened.append(open_instance(prepare(tmp_path, MANIFEST), MANIFEST))
        return opened[-1]

    yield begin
    for instance in opened:
        instance.close()


class Caller:
    def __init__(self, instance: JsInstance) -> None:
        self.instance = instance
        self.request, self.out = memoryview(bytearray(REQUEST_BYTES)), memoryview(bytearray(RESULT_BYTES))

    def __call__(self, hook: int, items: list[FrameItem]) -> memoryview:
        length = encode_request(hook, items, self.request)
        return self.out[: self.instance.call(hook, self.request[:length], self.out)]

    def fields(self, script: str) -> dict[str, Any]:
        payload = script.encode()
        (message,) = decode_dissect(self(DISSECT, [FrameItem(payload)]), [payload], MANIFEST.field_types).messages
        return {MANIFEST.fields[number].name: value for number, value in message.fields.items()}


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    folder = tmp_path_factory.mktemp("echo")
    (folder / "echo.js").write_text(ECHO)
    instance = open_instance(prepare(folder, MANIFEST), MANIFEST)
    yield Caller(instance)
    instance.close()


@pytest.mark.parametrize(
    ("script", "fields"),
    [
        ('{s: "aé€😀\\ud800", i: -1, d: 0.5, b: true}', {"s": "aé€😀\ufffd", "i": -1, "d": 0.5, "b": True}),
        ("{i: 2 ** 53 - 1, t: 2n ** 63n - 1n}", {"i": 2**53 - 1, "t": 2**63 - 1}),
        ("{i: -(2 ** 53 - 1), t: -(2n ** 63n)}", {"i": -(2**53 - 1), "t": -(2**63)}),
        ("{y: new Uint8Array([0, 255]), s: null, i: undefined}", {"y": b"\0\xff"}),
        ("{s: item.span(1, 2), y: item.span(0, 2)}", {"s": "s", "y": b"{s"}),
        ('{l: ["a", "é"], m: {k: "v"}}', {"l": ["a", "é"], "m": {"k": "v"}}),
        ("{}", {}),
    ],
)
def test_values_of_every_type(echo: Caller, script: str, fields: dict[str, Any]) -> None:
    assert echo.fields(script) == fields


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=200),
    number=st.integers(-(2**63), 2**63 - 1),
    real=st.floats(allow_nan=False, allow_infinity=False),
)
def test_values_survive(echo: Caller, text: str, number: int, real: float) -> None:
    shown = text.encode("utf-8", "replace").decode()
    script = f"{{s: {json.dumps(text)}, i: {number}n, d: {real!r}}}"
    assert echo.fields(script) == {"s": shown, "i": number, "d": real}


@pytest.mark.parametrize("length", [21_845, 21_846, 30_001, 30_003, 100_001])
def test_an_answer_may_have_any_length(echo: Caller, length: int) -> None:
    """Beyond what its first buffers hold."""
    assert echo.fields(f'{{s: "a".repeat({length})}}') == {"s": "a" * length}


def test_an_integer_of_more_than_64_bits_is_refused(load: Load) -> None:
    with pytest.raises(InstanceError, match="does not fit 64 bits"):
        Caller(load(ECHO)).fields("{i: 2n ** 63n}")


def test_filters_get_arguments_and_variables(echo: Caller) -> None:
    items = [FrameItem(encode_values(row)) for row in (["é", "é"], ["a", "b"], ["a", "?"])]
    assert decode_filter(echo(FILTER, items), 3) == [True, False, None]


def test_render_may_say_not_mine(echo: Caller) -> None:
    items = [FrameItem(b"title"), FrameItem(b"", direction=1), FrameItem(b""), FrameItem(b"x", direction=1)]
    mine, other = decode_render(echo(RENDER, items), 2)
    assert json.loads(mine) == {"priority": 1, "request": [{"type": "body", "title": "title"}]}
    assert other == b""


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("kubeshark.plugin({", r"echo.js:2:\d+: SyntaxError: Unexpected end of input"),
        ("\n\nnonsense()", r"echo.js:3:1: ReferenceError: nonsense is not defined"),
        ("kubeshark.plugin({filters: {}})", r"filters.echo_is is missing"),
        ("kubeshark.plugin({disect() {}})", r"there is no hook disect"),
        ("for (;;);", r"took too long"),
        ("kubeshark = 1", r"Assignment to constant variable"),
        ("import 'fs'", r"Cannot use import statement"),
    ],
)
def test_a_script_that_does_not_load(load: Load, monkeypatch: pytest.MonkeyPatch, script: str, message: str) -> None:
    monkeypatch.setattr("kubeshark.hosts.js._instance.START_SECONDS", 0.5)
    with pytest.raises(InstanceError, match=message):
        load(script)


def test_it_sees_nothing_of_the_host(load: Load) -> None:
    names = "['process', 'require', 'fetch', 'Deno', 'XMLHttpRequest'].map(name => typeof globalThis[name])"
    found = Caller(load(ECHO)).fields(f"{{l: {names}}}")
    assert set(found["l"]) == {"undefined"}


def test_its_buffers_cannot_be_detached(load: Load) -> None:
    with pytest.raises(InstanceError, match="TypeError"):
        Caller(load(ECHO)).fields("{i: item.bytes.buffer.transfer().byteLength}")


def test_after_a_failure_it_is_closed(load: Load) -> None:
    caller = Caller(load(ECHO))
    for message in ("ReferenceError", "closed"):
        with pytest.raises(InstanceError, match=message):
            caller.fields("nothing")


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    folder = tmp_path_factory.mktemp("reading")
    (folder / "echo.js").write_text(READING)
    instance = open_instance(prepare(folder, MANIFEST), MANIFEST)
    yield Caller(instance)
    instance.close()


def read(reading: Caller, payload: bytes) -> Any:
    """Return what READING found in these bytes."""
    found = decode_dissect(reading(DISSECT, [FrameItem(payload)]), [payload], MANIFEST.field_types)
    return json.loads(str(found.messages[0].fields[0]))


def test_what_reading_helpers_say(reading: Caller) -> None:
    found, same, numbers = read(reading, b"HoSt:123:456789\xff")
    assert found == [4, 8, 4, 15, 16]
    assert same == [True, False, False, 72, None, None]
    assert numbers == [123, None, None, None]


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=30).map(lambda data: data + b":"))
def test_find_is_index(reading: Caller, data: bytes) -> None:
    found, _, _ = read(reading, data)
    first = data.find(58)
    assert found == [first, data.find(58, first + 1), data.find(58, 3, 40), data.find(255), len(data)]
