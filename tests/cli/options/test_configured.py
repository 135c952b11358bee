"""kubeshark.yaml and --set reach the options of commands: default < file < environment < flag < --set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from kubeshark.cli import _main, main
from kubeshark.cli.options._configured import configuration, take_global_flags
from kubeshark.errors import UsageError

FILE = """
store: {path: from-file, recipients: [RECIPIENT], retention: {bytes: 1Gi, age: 2h}}
capture: {interfaces: [lo], snaplen: 128, fanout: 7}
query: {jobs: 3, maxBytes: 2MB, maxSeconds: 90s}
hub: {host: localhost, port: 9000}
headless: true
firewall: {failMode: closed}
"""
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kdnv3pt2q8vmvl6"


@pytest.fixture
def here(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KUBESHARK_STORE", raising=False)
    monkeypatch.delenv("KUBESHARK_CONFIG", raising=False)
    Path("kubeshark.yaml").write_text(FILE.replace("RECIPIENT", RECIPIENT))
    return tmp_path


def parsed(*arguments: str) -> argparse.Namespace:
    args = _main._parse(arguments)
    assert args is not None
    return args


def told(args: argparse.Namespace, *names: str) -> list[Any]:
    return [getattr(args, name) for name in names]


def test_the_file_gives_options_their_defaults(here: Path) -> None:
    query = parsed("query", "http")
    assert told(query, "store", "jobs", "max_bytes", "max_seconds") == ["from-file", 3, 2_000_000, 90]
    capture = parsed("capture")
    assert told(capture, "interface", "snaplen", "fanout", "recipient") == [["lo"], 128, 7, [RECIPIENT]]
    assert told(capture, "max_bytes", "max_age") == [1 << 30, 7200 * 10**9]
    serve = parsed("serve")
    assert told(serve, "host", "port", "no_browser") == ["localhost", 9000, True]
    assert parsed("firewall", "apply", "x").fail_mode == "closed"


def test_environment_flags_and_set_win_in_this_order(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_STORE", "from-environment")
    assert parsed("query").store == "from-environment"
    assert parsed("query", "--store", "from-flag").store == "from-flag"
    assert parsed("query", "--store", "from-flag", "--set", "store.path=from-set").store == "from-set"
    assert parsed("--set=store.url=s3://b/p", "query", "--store", "x").store == "s3://b/p"
    assert parsed("capture", "-i", "eth7").interface == ["eth7"]  # instead of the file's, not besides
    assert parsed("serve", "--port", "8899").port == 8899  # also where it is the built-in default
    assert parsed(
        "capture", "-i", "eth7", "--set", "capture.interfaces=a", "--set", "capture.interfaces=b"
    ).interface == [
        "a",
        "b",
    ]


def test_what_other_processes_read_from_the_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.delenv("KUBESHARK_IDENTITY", raising=False)
    parsed("keys", "list", "--set", "store.identityFile=/there.age")
    assert os.environ["KUBESHARK_IDENTITY"] == "/there.age"
    monkeypatch.setenv("KUBESHARK_IDENTITY", "/mine.age")
    Path("kubeshark.yaml").write_text("store: {identityFile: /file.age}\n")
    parsed("keys", "list")
    assert os.environ["KUBESHARK_IDENTITY"] == "/mine.age"


def test_a_named_file_and_its_warnings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.yaml").write_text("query: {jobs: 9}\ntap: {regexp: x}\n")
    assert parsed("query", "--config-path", "other.yaml").jobs == 9
    assert capsys.readouterr().err == (
        "kubeshark: warning: other.yaml:2: tap.regexp is unknown and ignored: did you mean tap.regex?\n"
    )
    assert main(["query", "--config-path", "none.yaml"]) == 2
    assert "none.yaml: there is no such configuration file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("set_", "said"),
    [("query.job=1", "did you mean query.jobs?"), ("query.jobs=x", "query.jobs: 'x' is no whole number")],
)
def test_a_wrong_set_is_wrong_usage(here: Path, set_: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "--set", set_]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_broken_file_stops_no_help_and_no_version(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("kubeshark.yaml").write_text("tap: [\n")
    assert main(["version"]) == 0
    with pytest.raises(SystemExit) as ended:
        main(["query", "--help"])
    assert ended.value.code == 0 and "[query.jobs]" in capsys.readouterr().out  # the help names the key
    assert main(["query"]) == 2


def test_global_flags_may_stand_anywhere() -> None:
    assert take_global_flags(["--config-path", "a", "query", "x", "--set", "k=v", "--set=l=m"]) == (
        ["query", "x"],
        "a",
        ["k=v", "l=m"],
    )
    assert take_global_flags(["query", "--", "--set"]) == (["query", "--", "--set"], None, [])
    assert take_global_flags(["plugin", "run", "--set", "k=v"]) == (["plugin", "run", "--set", "k=v"], None, [])
    with pytest.raises(UsageError, match="needs a value"):
        take_global_flags(["query", "--set"])


def test_one_run_forgets_the_one_before(here: Path) -> None:
    assert parsed("query", "--set", "query.jobs=5").jobs == 5
    assert parsed("query").jobs == 3
    assert configuration.overrides == []


def test_the_firewalls_keys_are_what_its_commands_use(here: Path) -> None:
    from kubeshark.cli.options import _firewall_options
    from kubeshark.cli.worker import firewall_folder

    assert firewall_folder(parsed("worker")) is None
    Path("kubeshark.yaml").write_text(
        "firewall: {enabled: true, path: ~/fw, hubs: [hub-a], inventory: pods.json, failMode: closed,"
        " exempt: [10.0.0.0/8, 192.0.2.1], defaultMode: Enforce}\n"
    )
    args = parsed("worker")
    assert firewall_folder(args) == Path("~/fw").expanduser()
    assert (args.fail_mode, args.allow_firewall) == ("closed", ["hub-a"])
    assert firewall_folder(parsed("worker", "--firewall", "here")) == Path("here")
    assert parsed("serve").inventory == Path("pods.json")
    assert parsed("firewall", "simulate", "p.yaml").inventory == "pods.json"
    assert _firewall_options.default_mode() == "Enforce"
    assert [str(network) for network in _firewall_options.exempt_networks()] == ["10.0.0.0/8", "192.0.2.1/32"]
    Path("kubeshark.yaml").write_text("firewall: {exempt: [somewhere]}\n")
    parsed("worker")
    with pytest.raises(UsageError, match=r"firewall\.exempt: 'somewhere'"):
        _firewall_options.exempt_networks()
