"""The compiled programs: found, read (ELF, by pyelftools), and bound to maps."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from kubeshark.core_capture.ebpf._calls import (
    CGROUP_CONNECT4,
    CGROUP_CONNECT6,
    CGROUP_SOCK_ADDR,
    KPROBE,
    SCHED_CLS,
    TRACEPOINT,
    XDP,
    XDP_DEVICE,
    EbpfError,
)

__all__ = ["Program", "read_programs"]

_KINDS = {
    "tc": (SCHED_CLS, 0),
    "xdp": (XDP, XDP_DEVICE),
    "cgroup/connect4": (CGROUP_SOCK_ADDR, CGROUP_CONNECT4),
    "cgroup/connect6": (CGROUP_SOCK_ADDR, CGROUP_CONNECT6),
    "uprobe": (KPROBE, 0),
    "tracepoint": (TRACEPOINT, 0),
}
_LOAD_64 = 0x18  # the instruction that takes a map, in two of 8 bytes
_FROM_MAP = 1


class Program(Struct, frozen=True):
    name: str
    kind: int
    expected: int  # attach type
    code: bytes
    maps: tuple[tuple[int, str], ...]  # byte of an instruction, the map it loads

    def bound(self, maps: Mapping[str, int]) -> bytes:
        """Return the code with the maps' descriptors in it."""
        code = bytearray(self.code)
        for at, name in self.maps:
            code[at + 1] = (code[at + 1] & 0x0F) | _FROM_MAP << 4
            struct.pack_into("<i", code, at + 4, maps[name])
        return bytes(code)


def read_programs(path: Path) -> dict[str, Program]:
    """Return the programs of the object, by name."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.relocation import RelocationSection

    if not path.is_file():
        raise EbpfError(
            f"eBPF: {path.name} is not built here",
            hint="on Debian, apt-get install clang linux-libc-dev, then make setup",
        )
    found: dict[str, Program] = {}
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            symbols: Any = elf.get_section_by_name(".symtab")
            relocations = {each["sh_info"]: each for each in elf.iter_sections() if isinstance(each, RelocationSection)}
            for index, section in enumerate(elf.iter_sections()):
                kind = _KINDS.get(section.name) or _KINDS.get(section.name.partition("/")[0])
                if kind is None:
                    continue
                code, maps = section.data(), []
                for each in relocations[index].iter_relocations() if index in relocations else ():
                    at, name = each["r_offset"], symbols.get_symbol(each["r_info_sym"]).name
                    if at % 8 or at + 16 > len(code) or code[at] != _LOAD_64:
                        raise EbpfError(f"eBPF: {path}: {section.name} refers to {name} otherwise than as a map")
                    maps.append((at, name))
                program = section.name.rpartition("/")[2]
                found[program] = Program(program, *kind, code, tuple(maps))
    except ELFError as error:
        raise EbpfError(f"eBPF: {path} is no object file: {error}", hint="run make setup again") from error
    return found
