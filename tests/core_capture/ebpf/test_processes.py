"""Who speaks TLS, by what, and whether it can be read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kubeshark.core_capture.ebpf._processes import FUNCTIONS, TlsProcess, functions_of, tls_processes
from tests.core_capture.ebpf._tls_server import tls_server


def test_a_process_with_libssl_is_found(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (pid, _):
        found = next(each for each in tls_processes() if each.pid == pid)
    assert found.library is not None
    assert "libssl" in found.library.name
    assert not found.reason
    offsets = functions_of(Path(found.library.name))
    assert set(offsets) == set(FUNCTIONS)
    size = Path(found.library.name).stat().st_size
    assert all(0 < offset < size for offset in offsets.values())


def test_offsets_are_those_that_another_reader_says(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (pid, _):
        library = next(each.library for each in tls_processes() if each.pid == pid)
    assert library is not None
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("needs readelf: apt-get install binutils")
    text = subprocess.run(
        [readelf, "-W", "--dyn-syms", library.name], capture_output=True, text=True, check=True
    ).stdout
    said = {
        line.split()[7].partition("@")[0]: int(line.split()[1], 16)
        for line in text.splitlines()
        if len(line.split()) > 7 and " FUNC " in line
    }
    assert functions_of(Path(library.name)) == {
        name: said[name] for name in FUNCTIONS
    }  # libraries lie as they are loaded


def test_a_process_without_tls_is_left_out() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            assert process.pid not in {each.pid for each in tls_processes()}
        finally:
            process.kill()


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\x7fELF\x02\x01\x01" + bytes(57), b"\x7fELF" + b"\xff" * 400])
def test_a_hostile_file_has_no_functions(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "lib.so").write_bytes(data)
    assert functions_of(tmp_path / "lib.so") == {}


def test_a_damaged_library_never_raises(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (pid, _):
        library = next(each.library for each in tls_processes() if each.pid == pid)
    assert library is not None
    data = bytearray(Path(library.name).read_bytes())
    file = tmp_path / "lib.so"
    for at in (*range(16, 64, 4), *range(len(data) - 2048, len(data), 256)):
        changed = bytearray(data)
        changed[at : at + 4] = b"\xff\xff\xff\x7f"
        file.write_bytes(changed)
        assert set(functions_of(file)) <= set(FUNCTIONS)


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        ("/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + "ab" * 32 + ".scope", "ab" * 32),
        ("/docker/" + "0f" * 32, "0f" * 32),
        ("/user.slice/session-1.scope", ""),
        ("/", ""),
    ],
)
def test_the_container_of_a_process(cgroup: str, container: str) -> None:
    assert TlsProcess(1, "a", cgroup, None).container == container
