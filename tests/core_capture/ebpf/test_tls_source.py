"""Probes in a real process: what it sent and received, with the addresses of its connections, and nobody else's."""

from __future__ import annotations

import ctypes
import gc
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from kubeshark.core_capture import load_core
from kubeshark.core_capture._records import LINKTYPE_IPV4, LINKTYPE_IPV6, RecordBatch
from kubeshark.core_capture.ebpf import EbpfError, TlsSource, _calls, _processes, _tls_choice, _tls_probe, _tls_source
from kubeshark.core_capture.ebpf._tls_probe import TlsProbe
from kubeshark.core_capture.live import PacketChoice
from kubeshark.errors import UsageError
from kubeshark.pipeline import Pipeline
from kubeshark.settings import Settings
from tests.core_capture.ebpf._tls_server import ask, needs_probes, said, tls_server

pytestmark = needs_probes


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, int]]:
    with tls_server(tmp_path) as found:
        yield found


def drained(source: TlsSource, *sizes: int) -> list[RecordBatch]:
    """Return what a source has when the server has said all this, and end it.

    The server's last call returns after its answer has arrived here.
    """
    deadline = time.monotonic() + 60
    while sum(count for name, count in source.counts().items() if name.startswith("bytes")) < said(*sizes):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    source.stop()
    batches = []
    while not source.is_finished and time.monotonic() < deadline:
        if batch := source.read(0.2):
            batches.append(batch)
    return batches


def test_what_a_process_says_is_there_in_the_clear(server: tuple[int, int], tmp_path: Path) -> None:
    process, port = server
    with TlsSource([f"pid:{process}"]) as source:
        source.read(0)  # from now on it takes what comes
        ends = [ask(port, 10, 300_000), ask(port, 0, 7)]
        batches = drained(source, 10, 300_000, 0, 7)
        assert source.unplaced == 0
        assert source.counts()["events_lost"] == 0
    assert {batch.link_type for batch in batches} == {LINKTYPE_IPV4}
    decoded = load_core().decode(b"".join(batch.data for batch in batches), LINKTYPE_IPV4)
    assert len(decoded.flows) == 2
    assert sum(batch.count for batch in batches) == len(decoded.packets)
    with Pipeline.open(tmp_path / "store") as pipeline:
        pipeline.capture(_Played(batches))  # type: ignore[arg-type]  # as a source that ends
        entries = list(pipeline.query("http"))
        found = [
            (each["src.ip"], each["src.port"], each["dst.port"], each["url"], each["response_body_size"])
            for each in pipeline.rows("http", fields=["src.ip", "src.port", "dst.port", "url", "response_body_size"])
        ]
        columns = [row["tls"] for row in pipeline.rows("", fields=["tls"])]
    assert len(entries) == 4
    document = entries[1].to_dict()
    assert document["tls"] is True
    assert document["capture"]["source"] == "ebpf_tls"
    assert document["captureSource"] == 3
    expected = [(*ends[0], port, "10"), (*ends[0], port, "300000"), (*ends[1], port, "0"), (*ends[1], port, "7")]
    assert [each[:4] for each in found] == expected
    assert [each[4] for each in found] == [10, 300_000, 0, 7]
    assert columns == [True] * len(columns)


class _Played:
    """Batches as a source."""

    def __init__(self, batches: list[RecordBatch]) -> None:
        from kubeshark.core_capture._records import Interface, SourceMetadata

        self._left = list(batches)
        self.name, self.problems, self.waits = "played", list[str](), True
        self.capabilities: frozenset[int] = frozenset()
        self.metadata = SourceMetadata("pcapng", interfaces=[Interface(LINKTYPE_IPV4, 262_144, name="libssl")])

    @property
    def is_finished(self) -> bool:
        return not self._left

    def read(self, _timeout_s: float) -> RecordBatch | None:
        return self._left.pop(0) if self._left else None

    def stop(self) -> None:
        """It ends by itself."""

    def counters(self) -> list[object]:
        return []

    def take_notices(self) -> list[str]:
        return []


def test_ipv6(tmp_path: Path) -> None:
    with tls_server(tmp_path, "::1") as (process, port), TlsSource([f"pid:{process}"]) as source:
        source.read(0)
        ask(port, 5, host="::1")
        batches = drained(source, 5)
    assert {batch.link_type for batch in batches} == {LINKTYPE_IPV6}
    assert {extra.interface for batch in batches for extra in batch.extras.values()} == {1}
    decoded = load_core().decode(b"".join(batch.data for batch in batches), LINKTYPE_IPV6)
    assert b"GET 5 HTTP/1.1" in bytes(decoded.data)


def test_processes_that_were_not_chosen_are_not_read(server: tuple[int, int], tmp_path: Path) -> None:
    process, port = server
    other = tmp_path / "other"
    other.mkdir()
    with tls_server(other) as (_, elsewhere), TlsSource([f"pid:{process}"]) as source:
        ask(elsewhere, 11)  # nor this process, which asks
        ask(port, 12)
        data = b"".join(bytes(batch.data) for batch in drained(source, 12))
    assert b"GET 12" in data
    assert b"GET 11" not in data


def _whole(source: TlsSource, *sizes: int) -> bytes:
    """Return what comes until the kernel has told all this, its thread has taken it, and a moment longer."""
    deadline = time.monotonic() + 60
    ring = source._probe._ring
    while sum(count for name, count in source.counts().items() if name.startswith("bytes")) < said(*sizes):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    while struct.unpack_from("<Q", ring._consumer) != struct.unpack_from("<Q", ring._data):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    data = b""
    for _ in range(3):
        batch = source.read(_tls_source.WAKE_S)
        data += bytes(batch.data) if batch else b""
    return data


def test_connections_are_chosen_by_address_too(server: tuple[int, int]) -> None:
    process, port = server
    here, elsewhere = (PacketChoice(frozenset({ip_address(each)})) for each in ("127.0.0.1", "10.0.0.1"))
    sizes = (11, 12, 13, 14)
    read: list[bytes] = []
    with TlsSource([f"pid:{process}"]) as source:
        source.read(0)
        for count, choice in enumerate((here, elsewhere, PacketChoice(filters=()), PacketChoice(here.addresses)), 1):
            assert source.choose(choice)
            ask(port, sizes[count - 1])
            read.append(_whole(source, *sizes[:count]))
        data = b"".join(read)
    assert [size for size in sizes if b"GET %d HTTP" % size in data] == [11, 14]


@contextmanager
def pod_group(uid: str) -> Iterator[Path]:
    """Yield a control group as a kubelet makes them, for a container of a pod."""
    mounted = [
        line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "cgroup2"
    ]
    if not mounted:
        pytest.skip("no control groups of version 2 are mounted")
    pod = Path(mounted[0]) / f"kubepods-test-pod{uid.replace('-', '_')}.slice"
    try:
        (pod / "cri-x.scope").mkdir(parents=True)
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        yield pod / "cri-x.scope"
    finally:
        deadline = time.monotonic() + 60  # a killed process leaves its group a moment later
        for folder in (pod / "cri-x.scope", pod):
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)


def test_processes_of_pods_that_are_named_while_it_runs_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By group, whatever addresses they use: this is loopback. Who is named no longer is read no longer."""
    uid = str(uuid4())
    other = tmp_path / "other"
    other.mkdir()
    with pod_group(uid) as group, tls_server(tmp_path) as (process, port), tls_server(other) as (_, elsewhere):
        monkeypatch.setattr(_tls_choice, "CGROUPS", group.parents[1])
        (group / "cgroup.procs").write_text(str(process))
        with TlsSource(["pods"], must_exist=False) as source:
            source.read(0)
            ask(port, 10)  # nobody is named yet
            heard = b""

            def hears(size: int) -> bool:
                nonlocal heard
                ask(port, size)
                ask(elsewhere, 14)
                while batch := source.read(0.1):
                    heard += bytes(batch.data)
                return b"GET %d HTTP" % size in heard

            def until(is_so: Callable[[], bool]) -> None:
                deadline = time.monotonic() + 60
                while not is_so():
                    assert time.monotonic() < deadline, source.take_notices()

            source.choose(PacketChoice(frozenset({ip_address("192.0.2.1")}), pods=frozenset({uid, str(uuid4())})))
            until(lambda: hears(11))
            assert source.unplaced == 0
            source.choose(PacketChoice(frozenset({ip_address("127.0.0.1")}), pods=frozenset({str(uuid4())})))
            until(lambda: _calls.next_key(source._probe._maps["chosen"], None, 8) is None)
            read = source.counts()["events"]
            ask(port, 12)
            assert source.counts()["events"] == read, "the kernel reads nothing of it"
            assert not hears(13)
            source.choose(PacketChoice(filters=(), pods=frozenset({uid})))  # between two windows of a schedule
            assert not hears(15)
            assert [size for size in (10, 12, 14) if b"GET %d HTTP" % size in heard] == []


UNPRIVILEGED = """
import ctypes, ipaddress, sys, time
from pathlib import Path
from kubeshark.core_capture.ebpf import TlsSource, _tls_choice
from kubeshark.core_capture.live import PacketChoice, drop_privileges
_tls_choice.CGROUPS = Path(sys.argv[1])
source = TlsSource(["pods"], must_exist=False)
source.choose(PacketChoice(frozenset(), pods=frozenset({sys.argv[2]})))
drop_privileges(source.capabilities)
source.read(0)
print("ready", flush=True)
data, until = b"", time.monotonic() + 60
while b"GET 21 HTTP" not in data and time.monotonic() < until:
    if batch := source.read(0.2):
        data += bytes(batch.data)
print(b"GET 21 HTTP" in data, source.unplaced, source.take_notices(), flush=True)
source.close()
"""


def test_the_capabilities_of_the_deployment_are_enough_for_programs_of_other_users(tmp_path: Path) -> None:
    """Root of a container has those alone that are named; most programs in pods are not root's."""
    uid = str(uuid4())
    tmp_path.chmod(0o755)
    names = {"SYS_ADMIN": 21, "SYS_PTRACE": 19, "DAC_READ_SEARCH": 2, "NET_RAW": 13, "NET_ADMIN": 12}
    given = Settings().tap.security_context.capabilities
    kept = {names[name] for name in (*given.network_capture, *given.ebpf_capture)}

    def drop() -> None:
        libc = ctypes.CDLL(None)
        for number in range(64):
            if number not in kept:
                libc.prctl(24, ctypes.c_ulong(number), 0, 0, 0)  # PR_CAPBSET_DROP: exec gives root no more

    with pod_group(uid) as group, tls_server(tmp_path, user=65_534) as (process, port):
        (group / "cgroup.procs").write_text(str(process))
        command = [sys.executable, "-c", UNPRIVILEGED, str(group.parents[1]), uid]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=drop) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            while child.poll() is None:
                ask(port, 21)
                time.sleep(0.2)
            assert child.stdout.read() == "True 0 []\n"


def test_pods_are_chosen_alone_and_of_the_nodes_own_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="chooses processes by itself"):
        TlsSource(["pods", "name:nginx"])
    monkeypatch.setattr(_tls_choice, "CGROUPS", tmp_path)
    with TlsSource(["pods"], must_exist=False) as source:
        source.choose(PacketChoice(pods=frozenset({str(uuid4())})))
        source.read(0)
        deadline = time.monotonic() + 60
        notices: list[str] = []
        while not notices and time.monotonic() < deadline:
            source.read(0.1)
            notices = source.take_notices()
    [notice] = notices
    assert f"{tmp_path} has no control groups of pods: mount the node's tree there" in notice


def test_what_found_no_room_is_counted_and_a_gap(server: tuple[int, int]) -> None:
    process, port = server
    chosen = [f"pid:{process}"]
    with TlsSource(chosen, TlsProbe(chosen, ring_bytes=1 << 16)) as source:
        ask(port, 400_000)  # nobody reads meanwhile
        ask(port, 3)
        told = sum(
            int(row["payload_length"])
            for batch in drained(source, 400_000, 3)
            for row in load_core().decode(batch.data, LINKTYPE_IPV4).packets
        )
        counts, counters = source.counts(), source.counters()
    assert counts["events_lost"] > 0
    assert counts["bytes"] == told
    assert counts["bytes"] + counts["bytes_lost"] > 400_000
    assert counters[0].dropped == counts["events_lost"]
    assert counters[0].received == counters[0].delivered + counters[0].dropped


def test_nothing_is_left_attached(server: tuple[int, int]) -> None:
    process, port = server
    with TlsSource([f"pid:{process}"]):
        pass
    with TlsSource([f"pid:{process}"]) as source:
        ask(port, 4)
        assert sum(bytes(batch.data).count(b"GET 4") for batch in drained(source, 4)) == 1


@pytest.mark.parametrize("choice", ["pid:4194304", "name:nobody", "container:0123456789ab", "everybody", "pod:x"])
def test_whom_nobody_answers_to(server: tuple[int, int], choice: str) -> None:
    with pytest.raises(UsageError):
        TlsSource([choice])


def test_a_file_that_cannot_be_probed_says_so(tmp_path: Path) -> None:
    from kubeshark.core_capture.ebpf._perf import attach_tracepoint, attach_uprobe

    with pytest.raises(EbpfError, match="no probe in"):
        attach_uprobe(0, tmp_path / "missing", 0, at_return=False)
    with pytest.raises(EbpfError, match="there is no tracepoint"):
        attach_tracepoint(0, "syscalls/none")


def test_a_process_that_starts_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tls_source, "REFRESH_S", 0.2)
    monkeypatch.setattr(_tls_source, "WAKE_S", 0.05)
    with TlsSource(["all"], must_exist=False) as source:
        source.read(0)
        with tls_server(tmp_path) as (_, port):
            found = b""
            deadline = time.monotonic() + 60
            while b"GET 13 " not in found and time.monotonic() < deadline:
                ask(port, 13)
                until = time.monotonic() + 1  # other programs of this machine may never be silent
                while (batch := source.read(0.1)) and time.monotonic() < until:
                    found += bytes(batch.data)
    assert b"GET 13 " in found


def test_the_number_of_a_process_that_ended_is_chosen_no_longer(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (process, _):
        probe = TlsProbe([f"pid:{process}"])
        assert _calls.next_key(probe._maps["chosen"], None, 8) == struct.pack("<Q", process)
    try:
        probe.refresh()
        assert _calls.next_key(probe._maps["chosen"], None, 8) is None
    finally:
        probe.close()


def test_what_goes_wrong_in_its_thread_is_raised_where_it_is_read(
    server: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, port = server

    def broken(_event: object) -> None:
        raise RuntimeError("broken")

    with TlsSource([f"pid:{process}"]) as source:
        monkeypatch.setattr(source, "_ends", broken)
        source.read(0)
        ask(port, 4)
        with pytest.raises(RuntimeError, match="broken"):
            source.read(20)
        assert source.is_finished


def test_a_library_is_probed_whole_or_not_at_all(server: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose path leads to the library may end before the last probe stands: the next look tries again."""
    process, _ = server
    before = _descriptors()
    probe = TlsProbe([f"pid:{process}"])
    try:
        whole = len(next(iter(probe._attached.values())))
        attach, calls = _tls_probe.attach_uprobe, iter(range(100))

        def failing(*given: Any, **more: Any) -> int:
            if next(calls) == 3:
                raise EbpfError("eBPF: no probe")
            return attach(*given, **more)

        for fds in probe._attached.values():
            for fd in fds:
                os.close(fd)
        probe._attached.clear()
        with monkeypatch.context() as patch:
            patch.setattr(_tls_probe, "attach_uprobe", failing)
            with pytest.raises(EbpfError):
                probe.refresh()
        assert probe._attached == {} or all(len(fds) == whole for fds in probe._attached.values())
        probe.refresh()
        assert probe._attached
        assert all(len(fds) == whole for fds in probe._attached.values())
    finally:
        probe.close()
    assert _descriptors() == before


def _descriptors() -> list[str]:
    """What of eBPF this process has open; what earlier tests left to the collector is closed first."""
    gc.collect()
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the folder itself
            found.append(str(descriptor.readlink()))
    return sorted(name for name in found if "bpf" in name or "perf" in name)


def test_a_library_is_probed_by_whoever_still_runs(server: tuple[int, int], tmp_path: Path) -> None:
    """Of two processes that use one library the first has ended since they were looked up; then the second, too."""
    process, _ = server
    probe = TlsProbe([f"pid:{process}"])
    try:
        (here,) = (each.library for each in _processes.tls_processes(probe._known) if each.pid == process)
        assert here is not None
        gone = replace(here, path=tmp_path / "ended")
        found = probe._probes([gone, here])
        assert len(found) == len(probe._attached[here.key])
        for fd in found:
            os.close(fd)
        assert probe._probes([gone, gone]) == []
    finally:
        probe.close()
