"""`kubeshark pcapdump` from a real hub."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hub._serving import serving

Run = Callable[..., subprocess.CompletedProcess[str]]
ALL = ("--set", "pcapdump.maxTime=400000h")
"""The sample's packets are of some time ago."""


@pytest.fixture(scope="module")
def dump(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    home = tmp_path_factory.mktemp("hub")
    with serving(home / "store", root, home) as hub:

        def run(*arguments: str | Path, token: str = hub.token) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "kubeshark", "pcapdump", "--hub", f"http://{hub.address}:{hub.port}"]
            environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "KUBESHARK_TOKEN": token}
            return subprocess.run(
                [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
            )

        yield run


def exported(root: Path, folder: Path, *words: str) -> bytes:
    """Return what the local command exports of the same capture."""
    command = [sys.executable, "-m", "kubeshark"]
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    sample = root / "examples" / "captures" / "sample.pcapng"
    for given in (("import", sample), ("export", *words, "-o", folder / "all.pcap")):
        subprocess.run([*command, *map(str, given)], env=environment, check=True, capture_output=True)
    return (folder / "all.pcap").read_bytes()


def test_it_is_what_the_hub_holds_byte_for_byte(dump: Run, root: Path, tmp_path: Path) -> None:
    done = dump(*ALL, "--dest", tmp_path)
    assert done.returncode == 0, done.stderr
    [path] = tmp_path.glob("kubeshark-*")
    assert path.suffix == ".pcap" and path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "local").mkdir()
    assert path.read_bytes() == exported(root, tmp_path / "local")


def test_a_filter_takes_whole_connections(dump: Run, root: Path, tmp_path: Path) -> None:
    done = dump(*ALL, "--dest", tmp_path, "--filter", "dns")
    assert done.returncode == 0, done.stderr
    [path] = tmp_path.glob("kubeshark-*")
    (tmp_path / "local").mkdir()
    assert path.read_bytes() == exported(root, tmp_path / "local", "dns")
    assert len(path.read_bytes()) > 24


def test_the_file_is_as_large_as_allowed_and_whole(dump: Run, root: Path, tmp_path: Path) -> None:
    done = dump(*ALL, "--set", "pcapdump.maxSize=2000", "--dest", tmp_path)
    assert done.returncode == 3
    assert "maxSize, 2000, is reached" in done.stderr
    [path] = tmp_path.glob("kubeshark-*")
    data = path.read_bytes()
    (tmp_path / "local").mkdir()
    assert exported(root, tmp_path / "local").startswith(data)
    at = 24
    while at < len(data):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
    assert at == len(data) <= 2000


def test_only_of_the_time_asked_for(dump: Run, tmp_path: Path) -> None:
    done = dump("--time", "10m", "--dest", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 packets, 24 bytes")


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("--time", "2h"), "more than pcapdump.maxTime, 1h", 2),
        (("--time", "soon"), "--time", 2),
        (("--filter", "http and and"), "not KFL", 2),
        (("--dest", "/nowhere"), "is no folder", 2),
    ],
)
def test_what_is_refused_leaves_nothing(
    dump: Run, tmp_path: Path, words: tuple[str, ...], said: str, code: int
) -> None:
    done = dump("--dest", tmp_path, *words)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_token(dump: Run, tmp_path: Path) -> None:
    done = dump("--dest", tmp_path, token="wrong")
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []
