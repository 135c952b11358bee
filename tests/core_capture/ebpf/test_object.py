"""The compiled object: its programs, what they refer to, and what is said where there is none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from kubeshark.core_capture.ebpf import EbpfError, read_programs
from kubeshark.firewall.kernel._plane import MAPS, OBJECT

built = pytest.mark.skipif(
    not OBJECT.is_file(), reason="the eBPF program is not built: apt-get install clang linux-libc-dev, then make setup"
)


@built
def test_programs_refer_to_known_maps_alone() -> None:
    programs = read_programs(OBJECT)
    assert {"ingress_at_ingress", "egress_at_egress", "egress_at_ingress", "connect4", "connect6"} <= programs.keys()
    assert {name for program in programs.values() for _, name in program.maps} == MAPS.keys()
    for program in programs.values():
        code = program.bound({name: number for number, name in enumerate(MAPS, 100)})
        for at, name in program.maps:
            assert code[at + 1] >> 4 == 1
            assert struct.unpack_from("<i", code, at + 4)[0] == 100 + list(MAPS).index(name)


def test_without_the_object_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(EbpfError, match=r"apt-get install clang .* make setup"):
        read_programs(tmp_path / "firewall.o")


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\x7fELF\x02\x01\x01" + bytes(57)])
def test_a_damaged_object_is_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "firewall.o").write_bytes(data)
    try:
        assert read_programs(tmp_path / "firewall.o") == {}
    except EbpfError as error:
        assert "\n" not in str(error)
