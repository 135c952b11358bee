"""Modules that no SDK would make: every one is refused or stopped, none reaches outside its memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from kubeshark.extension_api._frame import DISSECT, FrameItem, decode_dissect, encode_request
from kubeshark.extension_api._manifest import Manifest, parse_manifest
from kubeshark.hosts._instance import InstanceError
from kubeshark.hosts.go._engine import new_engine
from kubeshark.hosts.go._instance import GoInstance, Prepared, open_instance, prepare

MANIFEST = parse_manifest(
    b"""
    id = "hostile"
    version = "1.0.0"
    abi = 1
    language = "go"
    entry = "hostile.wasm"
    hooks = ["dissect"]
    limits = {batch_ms = 100, memory_mb = 16}
    protocol = {name = "hostile", abbr = "HOSTILE", long_name = "Hostile"}
    """
)
FRAME = memoryview(bytes(64))
OUT = 4096
PARTS = {
    "imports": "",
    "memory": '(memory (export "memory") 1)',
    "initialize": '(func (export "_initialize"))',
    "abi": '(func (export "ks_abi") (result i32) i32.const 1)',
    "hooks": '(func (export "ks_hooks") (result i32) i32.const 16)',
    "reserve": '(func (export "ks_reserve") (param i32) (result i32) i32.const 1024)',
    "call": '(func (export "ks_call") (param i32 i32) (result i32) i32.const 32)',
    "out": '(func (export "ks_out") (result i32) i32.const 2048)',
}


def module(**parts: str) -> Prepared:
    return Prepared(new_engine(), bytes(wat2wasm(f"(module {' '.join({**PARTS, **parts}.values())})")), b"")


@pytest.fixture
def opened() -> Callable[..., GoInstance]:
    return lambda **parts: open_instance(module(**parts), MANIFEST)


def call(instance: GoInstance) -> bytes:
    out = memoryview(bytearray(OUT))
    return bytes(out[: instance.call(DISSECT, FRAME, out)])


def test_what_is_written_comes_back(opened: Callable[..., GoInstance]) -> None:
    instance = opened(memory='(memory (export "memory") 1) (data (i32.const 2048) "KSR1 and so on, thirty-two bytes")')
    assert instance.hooks == 1 << DISSECT
    assert call(instance) == b"KSR1 and so on, thirty-two bytes"
    instance.close()
    instance.close()
    with pytest.raises(InstanceError, match="closed"):
        call(instance)


@pytest.mark.parametrize(
    ("part", "text", "message"),
    [
        ("reserve", "i32.const 0", "input buffer lies outside"),
        ("reserve", "i32.const 65473", "input buffer lies outside"),
        ("reserve", "i32.const -8", "input buffer lies outside"),
        ("call", "i32.const 0", "answered failure"),
        ("call", "i32.const -1", "at most 4,096"),
        ("call", "i32.const 4097", "at most 4,096"),
        ("call", "unreachable", "unreachable"),
        ("call", "(i32.load (i32.const -4))", "out of bounds"),
        ("call", "(i32.div_u (i32.const 1) (i32.const 0))", "division by zero"),
        ("call", "(memory.grow (i32.const 256)) drop i32.const 0", "answered failure"),
        ("out", "i32.const 65520", "result lies outside"),
        ("out", "i32.const -16", "result lies outside"),
    ],
)
def test_a_hostile_answer_closes_it(opened: Callable[..., GoInstance], part: str, text: str, message: str) -> None:
    signature = PARTS[part].rpartition("i32.const")[0]
    instance = opened(**{part: f"{signature}{text})"})
    with pytest.raises(InstanceError, match=message):
        call(instance)
    with pytest.raises(InstanceError, match="closed"):
        call(instance)


def test_endless_recursion_is_stopped(opened: Callable[..., GoInstance]) -> None:
    deeper = "(func $deeper (param i32 i32) (result i32) (call $deeper (local.get 0) (local.get 1)))"
    instance = opened(call=f'{deeper} (export "ks_call" (func $deeper))')
    with pytest.raises(InstanceError, match="too deeply"):
        call(instance)


def test_a_moved_memory_is_found_again(opened: Callable[..., GoInstance]) -> None:
    grow = "(drop (memory.grow (i32.const 64))) (i32.store (i32.const 4000000) (i32.const 77)) i32.const 4"
    instance = opened(
        call=f'(func (export "ks_call") (param i32 i32) (result i32) {grow})',
        out='(func (export "ks_out") (result i32) i32.const 4000000)',
    )
    assert [call(instance) for _ in range(3)] == [b"M\0\0\0"] * 3
    instance.close()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"abi": '(func (export "ks_abi") (result i32) i32.const 2)'}, "ABI 2"),
        ({"abi": ""}, "lacks ks_abi"),
        ({"abi": '(func (export "ks_abi") (result i64) i64.const 1)'}, "another type"),
        ({"call": '(func (export "ks_call") (param i32) (result i32) i32.const 1)'}, "another type"),
        ({"out": '(global (export "ks_out") i32 (i32.const 1))'}, "not a function"),
        ({"memory": '(memory (export "memory") 1000)'}, "memory"),
        ({"initialize": '(func (export "_initialize") unreachable)'}, "unreachable"),
        ({"imports": '(import "env" "steal" (func))'}, "env.steal"),
        ({"imports": '(import "wasi_snapshot_preview1" "proc_exit" (memory 1))'}, "proc_exit"),
    ],
)
def test_a_module_that_does_not_fit_is_refused(
    opened: Callable[..., GoInstance], parts: dict[str, str], message: str
) -> None:
    with pytest.raises(InstanceError, match=message):
        opened(**parts)


def test_bytes_that_are_no_module_are_refused() -> None:
    with pytest.raises(InstanceError, match="not a WebAssembly module"):
        open_instance(Prepared(new_engine(), b"\0asm\1\0\0\0\xff\xff", b""), MANIFEST)


def test_it_has_no_files_environment_or_clock_to_wait_for(faulty_go: tuple[Path, Manifest], native: Path) -> None:
    folder, manifest = faulty_go
    for order, wanted in (("secrets", b""), ("say hello", b"hello")):
        instance = open_instance(prepare(folder, manifest, native), manifest)
        request, out = memoryview(bytearray(4096)), memoryview(bytearray(4096))
        length = encode_request(DISSECT, [FrameItem(order.encode())], request)
        written = instance.call(DISSECT, request[:length], out)
        (message,) = decode_dissect(out[:written], [order.encode()], manifest.field_types).messages
        assert message.fields == {0: wanted.decode()}
        instance.close()
