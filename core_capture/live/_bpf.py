"""Packet filters: libpcap compiles the expression, the kernel runs it.

libpcap is loaded when a filter is given, and only then. The socket gets the program before it is bound: not one packet
gets past it (see _socket.py).
"""

from __future__ import annotations

import ctypes
import functools
import re
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from kubeshark.core_capture.live._interfaces import COOKED
from kubeshark.errors import CaptureError, UsageError

__all__ = [
    "MAX_INSTRUCTIONS",
    "Instruction",
    "accept",
    "compile_filter",
    "compile_for_file",
    "guarded",
    "pack",
    "reject",
    "runner",
]

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, operand (struct sock_filter)."""

_LIBRARIES = ("libpcap.so.0.8", "libpcap.so.1", "libpcap.so")
_PACKAGE = "install it: apt-get install libpcap0.8 (Debian, Ubuntu), dnf install libpcap, apk add libpcap"
_ERROR_BYTES = 256  # PCAP_ERRBUF_SIZE
_DLT = {101: 12}  # LINKTYPE_RAW → DLT_RAW of Linux; the other link types have the same number as both
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS: the kernel takes no more
_GUARD = 5  # what `guarded` puts in front, at most
MAX_EXPRESSION = 8192
"""Characters. libpcap's time grows with more than the square of them: 3,000 hosts took ten minutes and a GiB."""

_UNKNOWN_NETMASK = 0xFFFF_FFFF

_LD, _LDX, _CLASS = 0, 1, 7
_WORD, _HALF, _BYTE, _SIZE = 0, 0x08, 0x10, 0x18
_ABS, _IND, _MSH, _MODE = 0x20, 0x40, 0xA0, 0xE0
_LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_AD = 0xFFFF_F000  # SKF_AD_OFF: what the kernel knows of a packet, beside its bytes
_AD_PROTOCOL, _AD_PKTTYPE, _AD_IFINDEX = _AD + 0, _AD + 4, _AD + 8
_OUTGOING = 4  # PACKET_OUTGOING
_COOKED_BYTES = 20
_lock = threading.Lock()  # libpcap's compiler had global variables


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


def accept(snaplen: int) -> list[Instruction]:
    """Keep every packet, up to `snaplen` bytes."""
    return [(_RETURN, 0, 0, snaplen)]


def reject() -> list[Instruction]:
    """Keep none."""
    return [(_RETURN, 0, 0, 0)]


def compile_filter(expression: str, link_type: int, snaplen: int, interface: str = "") -> list[Instruction]:
    """Compile for packets as the kernel sees them on a socket of this link type.

    Raise UsageError with libpcap's words for an expression that is wrong, CaptureError where there is no libpcap. VLAN
    tags are not among the bytes that the kernel's filter sees: with `interface`, libpcap looks for them where they are.
    """
    if not expression.strip():
        return accept(snaplen)
    on_device = bool(interface) and link_type != COOKED and re.search(r"\bvlan\b", expression)
    compiled = compile_for_file(expression, link_type, snaplen, interface if on_device else "")
    program = [_with_snaplen(instruction, snaplen) for instruction in compiled]
    if link_type == COOKED:
        program = [_without_cooked_header(instruction, expression) for instruction in program]
    if len(program) > MAX_INSTRUCTIONS - _GUARD:
        raise UsageError(f"the filter has {len(program):,} instructions", hint="the kernel takes 4,096")
    return program


def runner() -> Any:
    """Return libpcap's bpf_filter(program, address of the bytes, length on the wire, captured): 0 is no match."""
    return _library().bpf_filter


def compile_for_file(expression: str, link_type: int, snaplen: int, interface: str = "") -> list[Instruction]:
    """Compile for packets as they lie in a file of this link type, or come from an interface.

    Raise as `compile_filter` does.
    """
    if len(expression) > MAX_EXPRESSION:
        raise UsageError(
            f"the filter has {len(expression):,} characters, {MAX_EXPRESSION:,} are allowed",
            hint='write networks ("net 10.0.0.0/8") instead of many hosts',
        )
    if "\0" in expression:
        raise UsageError("the filter has a NUL character")
    library = _library()
    with _lock:
        handle = (
            _device(library, interface)
            if interface
            else library.pcap_open_dead(_DLT.get(link_type, link_type), snaplen)
        )
        if not handle:
            raise MemoryError
        try:
            return _compile(library, handle, expression)
        finally:
            library.pcap_close(handle)


def guarded(
    program: Sequence[Instruction], direction: Literal["in", "out", "both"], loopback: int | None
) -> list[Instruction]:
    """Put the choice of direction in front of a program.

    On a loopback interface a packet passes twice, going out and coming in: once is enough. `loopback` is the index of
    such an interface among those a socket hears (for a socket on it alone, 0), None if there is none.
    """
    drop = [(_RETURN, 0, 0, 0)]
    outgoing = (_LOAD_WORD, 0, 0, _AD_PKTTYPE)
    if direction == "out":
        return [outgoing, (_JUMP_EQUAL, 1, 0, _OUTGOING), *drop, *program]
    if direction == "in" or loopback == 0:
        return [outgoing, (_JUMP_EQUAL, 0, 1, _OUTGOING), *drop, *program]
    if loopback is not None:
        is_loopback = [(_LOAD_WORD, 0, 0, _AD_IFINDEX), (_JUMP_EQUAL, 0, 3, loopback)]
        return [*is_loopback, outgoing, (_JUMP_EQUAL, 0, 1, _OUTGOING), *drop, *program]
    return list(program)


def pack(program: Sequence[Instruction]) -> bytes:
    """Return the instructions as an array of struct sock_filter."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


@functools.cache
def _library() -> Any:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        handle, text = ctypes.c_void_p, ctypes.c_char_p
        library.pcap_open_dead.restype = library.pcap_create.restype = handle
        library.pcap_create.argtypes = (text, text)
        library.pcap_compile.argtypes = (handle, ctypes.POINTER(_Program), text, ctypes.c_int, ctypes.c_uint32)
        library.pcap_geterr.restype = text
        for function in ("pcap_geterr", "pcap_close", "pcap_activate"):
            getattr(library, function).argtypes = (handle,)
        library.pcap_set_buffer_size.argtypes = (handle, ctypes.c_int)
        library.pcap_freecode.argtypes = (ctypes.POINTER(_Program),)
        library.bpf_filter.argtypes = (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32)
        library.bpf_filter.restype = ctypes.c_uint32
        return library
    raise CaptureError("a filter needs libpcap, which is not on this machine", hint=_PACKAGE)


def _device(library: Any, interface: str) -> Any:
    """Return a handle that knows how this kernel keeps VLAN tags; it listens for a moment, and nobody reads it."""
    errors = ctypes.create_string_buffer(_ERROR_BYTES)
    handle = library.pcap_create(interface.encode(), errors)
    if not handle:
        raise CaptureError(f"libpcap cannot open {interface}: {errors.value.decode(errors='replace')}")
    library.pcap_set_buffer_size(handle, 1 << 18)
    if library.pcap_activate(handle) < 0:
        message = library.pcap_geterr(handle).decode(errors="replace")
        library.pcap_close(handle)
        raise CaptureError(f"libpcap cannot compile a filter for VLANs on {interface}: {message}")
    return handle


def _compile(library: Any, handle: Any, expression: str) -> list[Instruction]:
    program = _Program()
    if library.pcap_compile(handle, ctypes.byref(program), expression.encode(), 1, _UNKNOWN_NETMASK) != 0:
        message = library.pcap_geterr(handle).decode(errors="replace")
        raise UsageError(f"the filter {expression!r} is wrong: {message}")
    try:
        return list(_unpack(ctypes.string_at(program.instructions, 8 * program.length)))
    finally:
        library.pcap_freecode(ctypes.byref(program))


def _unpack(data: bytes) -> Iterator[Instruction]:
    return struct.iter_unpack("=HBBI", data)


def _with_snaplen(instruction: Instruction, snaplen: int) -> Instruction:
    """What a program returns for a packet that is kept is how many of its bytes are."""
    is_keeping = instruction[0] == _RETURN and instruction[3]
    return (_RETURN, 0, 0, snaplen) if is_keeping else instruction


def _without_cooked_header(instruction: Instruction, expression: str) -> Instruction:
    """Turn a load from a cooked packet into one from what the kernel has: it makes the header after filtering."""
    code, true, false, operand = instruction
    if code & _CLASS not in (_LD, _LDX) or code & _MODE not in (_ABS, _IND, _MSH) or operand >= 1 << 31:
        return instruction
    if operand >= _COOKED_BYTES:
        return code, true, false, operand - _COOKED_BYTES
    known = {(0, _HALF): _AD_PROTOCOL, (4, _WORD): _AD_IFINDEX, (10, _BYTE): _AD_PKTTYPE}
    if (operand, code & _SIZE) not in known or code & _MODE != _ABS:
        raise UsageError(
            f"the filter {expression!r} asks for a link-layer header", hint='"any" has none: name an interface'
        )
    return _LOAD_WORD, true, false, known[operand, code & _SIZE]
