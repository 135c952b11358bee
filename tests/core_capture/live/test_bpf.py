"""Filters: what libpcap compiles is what tcpdump gives the kernel, and wrong ones are said in libpcap's words."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from kubeshark.core_capture.live import _bpf
from kubeshark.core_capture.live._bpf import accept, compile_filter, guarded, pack
from kubeshark.errors import CaptureError, UsageError

EXPRESSIONS = (
    "tcp port 80",
    "udp and not host 10.1.2.3",
    "not net 10.0.0.0/8 and (ip6 or arp)",
    "udp[8:4] & 3 = 0",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "greater 100",
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize(("link_type", "name"), [(1, "EN10MB"), (101, "RAW")])
def test_the_program_is_that_of_tcpdump(expression: str, link_type: int, name: str) -> None:
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed: apt-get install tcpdump")
    command = ["tcpdump", "-y", name, "-s", "1000", "-ddd", expression]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [tuple(map(int, row.split())) for row in done.stdout.splitlines()[1:]]
    assert compile_filter(expression, link_type, 1000) == rows


def test_an_empty_filter_keeps_everything_without_libpcap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bpf, "_library", lambda: pytest.fail("libpcap is not needed"))
    assert compile_filter("  ", 1, 77) == accept(77) == [(6, 0, 0, 77)]


def test_what_is_wrong_is_said_with_the_expression() -> None:
    for expression, message in (
        ("tcp port", "'tcp port' is wrong: .*syntax error"),
        ("host nowhere.invalid", "nowhere.invalid.* is wrong: .*nowhere.invalid"),
        ("port 99999", "'port 99999' is wrong: .*99999"),
        ("tcp\0", "NUL"),
        (" or ".join(f"host 10.0.{n // 250}.{n % 250}" for n in range(3000)), "8,192 are allowed"),
    ):
        with pytest.raises(UsageError, match=message):
            compile_filter(expression, 1, 1000)


def test_without_libpcap_it_says_which_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bpf, "_LIBRARIES", ("libpcap-of-nobody.so",))
    _bpf._library.cache_clear()
    try:
        with pytest.raises(CaptureError, match=r"apt-get install libpcap0.8"):
            compile_filter("tcp", 1, 1000)
    finally:
        _bpf._library.cache_clear()


def test_cooked_packets_are_filtered_before_they_have_a_header() -> None:
    program = compile_filter("udp port 9", 276, 1000)
    loads = [operand for code, _, _, operand in program if code & 7 in (0, 1) and code & 0xE0 in (0x20, 0x40, 0xA0)]
    assert loads[0] == 0xFFFF_F000, "the protocol, as the kernel knows it"
    assert 9 in loads, "IPv4's protocol, counted from the network header"
    for expression in ("link[3] = 1", "ether host 02:00:00:00:00:01"):
        with pytest.raises(UsageError, match=r"link-layer|is wrong"):
            compile_filter(expression, 276, 1000)


def test_directions_are_two_instructions_in_front() -> None:
    program = accept(10)
    assert guarded(program, "both", None) == program
    for direction, loopback in (("in", None), ("out", None), ("both", 0)):
        assert guarded(program, direction, loopback)[-1] == program[0]  # type: ignore[arg-type]
        assert len(guarded(program, direction, loopback)) == 4  # type: ignore[arg-type]
    assert len(guarded(program, "both", 1)) == 6
    assert len(pack(program)) == 8
