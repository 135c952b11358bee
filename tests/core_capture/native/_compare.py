"""The differential test: both cores, every array, bit for bit."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from kubeshark.core_capture._columns import Decoded, Direction
from kubeshark.core_capture.native import NativeCore
from kubeshark.core_capture.reference import ReferenceCore

NATIVE, REFERENCE = NativeCore(), ReferenceCore()


def same_array(name: str, native: NDArray[Any], reference: NDArray[Any]) -> None:
    assert native.dtype == reference.dtype, name
    assert len(native) == len(reference), name
    if native.tobytes() != reference.tobytes():
        for at, (ours, theirs) in enumerate(zip(native, reference, strict=True)):
            assert ours.tobytes() == theirs.tobytes(), f"{name}[{at}]: native {ours}, reference {theirs}"


def same_direction(name: str, native: Direction, reference: Direction) -> None:
    same_array(f"{name}.chunk_starts", native.chunk_starts, reference.chunk_starts)
    same_array(f"{name}.chunk_packets", native.chunk_packets, reference.chunk_packets)
    for field in ("gaps", "retransmissions", "out_of_order", "overlaps", "starts_midway"):
        assert getattr(native, field) == getattr(reference, field), f"{name}.{field}"
    assert native.data == reference.data, f"{name}.data"


def same_streams(native: Decoded, reference: Decoded) -> None:
    flows = range(len(native.flows))
    for ours, theirs in zip(NATIVE.assemble(native, flows), REFERENCE.assemble(reference, flows), strict=True):
        name = f"flow {theirs.flow}"
        assert ours.flow == theirs.flow
        same_array(f"{name}.packets", ours.packets, theirs.packets)
        assert (ours.directions is None) == (theirs.directions is None), name
        for number, pair in enumerate(zip(ours.directions or (), theirs.directions or (), strict=True)):
            same_direction(f"{name} direction {number}", *pair)


def same(data: bytes, link_type: int) -> Decoded:
    """Decode and assemble with both cores, assert equality, and return what they made."""
    native, reference = NATIVE.decode(data, link_type), REFERENCE.decode(data, link_type)
    for field in ("packets", "flows", "arena_index"):
        same_array(field, getattr(native, field), getattr(reference, field))
    assert native.arena == reference.arena
    assert native.end == reference.end
    same_streams(native, reference)
    ours, theirs = NATIVE.offsets(data), REFERENCE.offsets(data)
    same_array("offsets", ours[0], theirs[0])
    assert ours[1] == theirs[1]
    return native
