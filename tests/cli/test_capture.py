"""kubeshark capture, as a user runs it: until Ctrl-C, a signal or a limit, with totals that add up."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from _command import kubeshark

from tests.cli.test_import_follow import until_stored
from tests.core_capture.ebpf._tls_server import ask, needs_probes, tls_server
from tests.core_capture.live._cable import FAR, NEAR, PORT, Sender, frame, ip
from tests.core_capture.live.conftest import sender
from tests.core_capture.live.test_streams import HEADER, record

__all__ = ["sender"]


@contextmanager
def capturing(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Start a capture, and give it when it listens."""
    command = [sys.executable, "-m", "kubeshark", "capture", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        said = []
        for line in running.stderr:
            said.append(line)
            if "Ctrl-C ends it" in line:
                break
        else:
            pytest.fail("".join(said))
        try:
            yield running
        finally:
            running.kill()


def until_said(running: subprocess.Popen[str], text: str) -> str:
    """Return what it says until then."""
    assert running.stderr is not None
    said = ""
    for line in running.stderr:
        said += line
        if text in line:
            return said
    pytest.fail(said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_until_a_signal(sender: Sender, tmp_path: Path, number: signal.Signals) -> None:
    options = ("-i", FAR, "--filter", f"udp port {PORT}", "--store", tmp_path / "store", "--output", "json")
    with capturing(*options) as running:
        sender.send(frame(n) for n in range(1000))
        time.sleep(0.3)
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "Traceback" not in err
    totals = json.loads(out)
    assert (totals["received"], totals["stored"], totals["acknowledged"]) == (1000, 1000, 1000)
    assert (totals["dropped"], totals["lost"], totals["filtered"], totals["flows"]) == (0, 0, 0, 64)
    info = json.loads(kubeshark("store", "info", "--store", tmp_path / "store", "--output", "json").stdout)
    assert info["packets"] == 1000
    assert kubeshark("store", "verify", "--store", tmp_path / "store").returncode == 0


def test_what_the_filter_left_out_is_said(sender: Sender, tmp_path: Path) -> None:
    options = (
        "-i",
        FAR,
        "--filter",
        f"udp port {PORT} and greater 200",
        "--store",
        tmp_path / "store",
        "--packets",
        "10",
    )
    with capturing(*options) as running:
        sender.send(frame(n) for n in range(30))
        sender.send(frame(n, size=300) for n in range(10))
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "received 10, dropped by the kernel 0" in out
    assert "; some 30 were left out by the filter" in out


def test_until_a_limit(sender: Sender, tmp_path: Path) -> None:
    stop = threading.Event()

    def talk() -> None:
        while not stop.wait(0.001):
            sender.send([frame(1)])

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        for limit, stored in ((("--packets", "10"), 10), (("--bytes", "640"), 10), (("--duration", "0.3s"), None)):
            done = kubeshark("capture", "-i", FAR, *limit, "--store", tmp_path / "store", "--output", "json")
            assert done.returncode == 0, done.stderr
            totals = json.loads(done.stdout)
            assert stored is None or totals["stored"] == stored
            assert totals["received"] == sum(
                totals[key] for key in ("dropped", "damaged", "lost", "beyond", "filtered", "stored")
            )
    finally:
        stop.set()
        talker.join()


def test_text_says_what_was_lost_and_notices_are_said_once(sender: Sender, tmp_path: Path) -> None:
    with capturing("-i", FAR, "-i", "lo", "--store", tmp_path / "store", "--snaplen", "60") as running:
        ip(f"link set {FAR} down")
        said = until_said(running, f"{FAR} is down")
        ip(f"link set {FAR} up")
        said += until_said(running, f"{FAR} is back")
        sender.send([frame(1, size=200)])
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=60)
    err = said + err
    assert f"kubeshark: {FAR} is down: the capture goes on when it is back\nkubeshark: {FAR} is back\n" in err
    assert out.startswith("captured 1 packets, 60 bytes, 1 flows in 1 segments; received 1, dropped by the kernel 0")
    assert "1 were longer than is kept" in out


def test_a_share_of_the_processors(sender: Sender, tmp_path: Path) -> None:
    options = ("-i", FAR, "--filter", f"udp port {PORT}", "--store", tmp_path / "store", "--output", "json")
    with capturing(*options, "--cpu", "0.5") as running:
        assert len(os.sched_getaffinity(running.pid)) == 1
        sender.send(frame(n) for n in range(1000))
        time.sleep(0.3)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert json.loads(out)["stored"] == 1000
    wrong = kubeshark("capture", "-i", FAR, "--cpu", "half", "--store", tmp_path / "store")
    assert wrong.returncode == 2
    assert "'half' is no number of processors" in wrong.stderr


def test_the_list_of_interfaces(sender: Sender) -> None:
    rows = json.loads(kubeshark("capture", "--list-interfaces", "--output", "json").stdout)
    assert {NEAR, FAR, "lo", "any"} == {row["name"] for row in rows}
    assert kubeshark("capture", "-D").stdout.splitlines()[0].split() == ["lo", "up", "127.0.0.1", "::1"][:3]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "needs an interface"),
        (("-i", "nope0"), 2, "there is no interface 'nope0': there are"),
        (("-i", "lo", "--filter", "tcp port"), 2, "syntax error"),
        (("-i", "lo", "--duration", "soon"), 2, "is no duration"),
        (("-i", "lo", "--packets", "0"), 2, "is no number of packets"),
        (("-i", "lo", "--bytes", "0"), 2, "is no size to end after"),
        (("-i", "lo", "--snaplen", "0"), 2, "snap length"),
    ],
)
def test_wrong_usage_is_one_line(sender: Sender, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = kubeshark("capture", *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_pipe_is_captured_while_it_is_open(sample: Path, tmp_path: Path) -> None:
    data = sample.read_bytes()
    command = [sys.executable, "-m", "kubeshark", "capture", "-i", "-", "--store", str(tmp_path / "store")]
    with subprocess.Popen(
        [*command, "--output", "json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        running.stdin.write(data[: len(data) // 2])
        running.stdin.flush()
        ends = time.monotonic() + 60
        rows = ""
        while "http" not in rows:
            assert time.monotonic() < ends, running.stderr
            time.sleep(0.2)
            rows = kubeshark("query", "http", "--store", tmp_path / "store", "--output", "jsonl").stdout
        assert running.poll() is None
        out, err = running.communicate(data[len(data) // 2 :], timeout=60)
    assert running.returncode == 0, err
    assert json.loads(out)["stored"] == 1360


def test_nothing_came_and_nothing_is_kept(tmp_path: Path) -> None:
    done = kubeshark("capture", "-i", "-", "--store", tmp_path / "store", stdin=HEADER)
    assert (done.returncode, done.stdout.split(" in ")[1].split(";")[0]) == (0, "0 segments")
    told = json.loads(kubeshark("store", "info", "--store", tmp_path / "store", "--output", "json").stdout)
    assert (told["segments"], told["captures"]) == (0, [])


def test_import_of_a_pipe_keeps_everything(sample: Path, tmp_path: Path) -> None:
    done = kubeshark("import", "-", "--store", tmp_path / "store", "--output", "json", stdin=sample.read_bytes())
    assert json.loads(done.stdout)["packets"] == 1360
    out = tmp_path / "out.pcapng"
    assert kubeshark("export", "-o", out, "--store", tmp_path / "store").returncode == 0
    again = kubeshark("import", sample, "--store", tmp_path / "direct", "--output", "json")
    direct = tmp_path / "direct.pcapng"
    assert again.returncode == 0
    assert kubeshark("export", "-o", direct, "--store", tmp_path / "direct").returncode == 0
    totals = [
        json.loads(kubeshark("import", each, "--store", tmp_path / f"again-{each.stem}", "--output", "json").stdout)
        for each in (out, direct)
    ]
    assert totals[0] == totals[1]


def test_senders_over_tcp(sample: Path, tmp_path: Path) -> None:
    with capturing("--listen", "0", "--store", tmp_path / "store", "--output", "json") as running:
        port = _port_of(running)
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port)) as sender_socket:
                sender_socket.sendall(sample.read_bytes())
        for _ in range(2):
            until_said(running, "has ended: 1,360 packets")
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=60)
    assert json.loads(out)["stored"] == 2 * 1360, err
    assert "has ended" not in err


def _port_of(running: subprocess.Popen[str]) -> int:
    held = set[str]()
    for link in Path(f"/proc/{running.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            held.add(str(link.readlink()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in held:
            return int(fields[1].split(":")[1], 16)
    raise AssertionError("it does not listen")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("-i", "-", "--listen", "0"), 2, "do not go together"),
        (("-i", "-", "--filter", "tcp"), 2, "cannot be filtered"),
        (("--listen", "nowhere"), 2, "is no address"),
        (("--connect", "127.0.0.1:1"), 1, "cannot connect to 127.0.0.1:1"),
    ],
)
def test_wrong_usage_of_streams(arguments: tuple[str, ...], code: int, message: str) -> None:
    done = kubeshark("capture", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert message in done.stderr


def test_a_pipe_that_is_no_capture(tmp_path: Path) -> None:
    for command in (("import", "-"), ("capture", "-i", "-")):
        done = kubeshark(*command, "--store", tmp_path / "store", stdin=b"not a capture at all")
        assert done.returncode in (1, 3)
        assert "standard input: is neither pcap nor pcapng" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_folder_is_followed(sample: Path, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    (folder / "1.pcapng").write_bytes(sample.read_bytes())
    command = [sys.executable, "-m", "kubeshark", "import", "--follow", str(folder), "--store", str(tmp_path / "store")]
    for packets, skipped in ((1360, 0), (10, 1360)):
        with subprocess.Popen(
            [*command, "--output", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as running:
            assert running.stderr is not None
            while b"Ctrl-C ends it" not in running.stderr.readline():
                assert running.poll() is None
            until_stored(tmp_path / "store", packets + skipped)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
        (folder / "2.pcap").write_bytes(HEADER + b"".join(map(record, range(10))))
        assert running.returncode == 0, err
        totals = json.loads(out)
        assert (totals["packets"], totals["skipped"]) == (packets, skipped)
    refused = kubeshark("import", "--follow", tmp_path / "none.pcap", "--store", tmp_path / "store")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)  # nothing was done
    assert "there is no such folder or file" in refused.stderr


@pytest.mark.parametrize(
    ("options", "stays"), [((), True), (("--max-age", "1h"), False), (("--max-age", "5000w"), True)]
)
def test_the_oldest_goes_while_packets_come(
    sender: Sender, tmp_path: Path, root: Path, options: tuple[str, ...], stays: bool
) -> None:
    store = tmp_path / "store"
    recorded = int(
        json.loads(
            kubeshark("import", root / "examples/captures/sample.pcapng", "--store", store, "--output", "json").stdout
        )["packets"]
    )
    with capturing("-i", FAR, "--filter", f"udp port {PORT}", "--store", store, "-c", "10", *options) as running:
        sender.send(frame(n) for n in range(10))
        _out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    info = json.loads(kubeshark("store", "info", "--store", store, "--output", "json").stdout)
    assert info["packets"] == 10 + recorded * stays
    assert kubeshark("store", "verify", "--store", store).returncode == 0


def test_a_retention_that_holds_no_segment_is_refused(sender: Sender, tmp_path: Path) -> None:
    done = kubeshark("capture", "-i", FAR, "--max-bytes", "1MB", "--store", tmp_path / "store", "-c", "1")
    assert done.returncode == 2
    assert "a retention of 1,000,000 bytes is less than two segments" in done.stderr


@needs_probes
def test_tls_in_the_clear_beside_the_wire(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with tls_server(tmp_path) as (process, port):
        listed = json.loads(kubeshark("capture", "--list-tls", "--output", "json").stdout)
        mine = next(row for row in listed if row["pid"] == process)
        assert mine["readable"]
        assert str(process) in kubeshark("capture", "--list-tls").stdout
        arguments = ("-i", "lo", "--filter", f"tcp port {port}", "--tls-probe", f"pid:{process}")
        with capturing(*arguments, "--store", store, "--output", "json") as running:
            ask(port, 20, 5)
            time.sleep(0.5)
            running.send_signal(signal.SIGINT)
            totals = json.loads(running.communicate(timeout=60)[0])
    assert totals["received"] == totals["stored"]
    assert totals["lost"] == totals["dropped"] == 0
    fields = ("--fields", "url,dst.port,tls,capture_source", "--output", "jsonl", "--store", store)
    rows = [json.loads(line) for line in kubeshark("query", "http", *fields).stdout.splitlines()]
    said = {"dst.port": port, "tls": True, "capture_source": "ebpf_tls"}
    assert rows == [{"url": "20", **said}, {"url": "5", **said}]
    assert kubeshark("query", "tlsx && !tls", "--limit", "1", *fields).stdout.count("\n") == 1  # the wire


@needs_probes
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tls-probe", "nginx"), "chooses no processes"),
        (("--tls-probe", "all", "-i", "-"), "goes with interfaces of this machine"),
        (("--tls-probe", "pid:4194304"), "there is no pid 4194304"),
    ],
)
def test_wrong_usage_of_probes(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = kubeshark("capture", *arguments, "--store", tmp_path / "store")
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_names_of_limits_and_the_immediate_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--count` and `--size` are `--packets` and `--bytes`; the option reaches the ring."""
    from kubeshark.cli import _main, capture
    from kubeshark.core_capture import live

    parser = _main.build_parser("capture")
    args = parser.parse_args(["capture", "-i", "lo", "--count", "5", "--size", "1MB", "--immediate"])
    assert (args.packets, args.bytes) == (5, 1_000_000)
    made: list[live.LiveOptions] = []
    monkeypatch.setattr(live, "LiveSource", lambda _names, options: made.append(options))
    capture.open_source(args)
    capture.open_source(parser.parse_args(["capture", "-i", "lo"]))
    assert [options.is_immediate for options in made] == [True, False]
