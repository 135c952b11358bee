"""Every command on a store in a bucket; what goes wrong is one line and an exit code, and names no secret."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from kubeshark.cli import main
from tests.core_capture.store._relay import relay
from tests.core_capture.store._servers import ACCESS, SECRET, Server


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def test_the_commands(
    server: Server, url: str, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", sample, "--store", url, "--output", "json") == 0
    assert json.loads(capsys.readouterr().out)["packets"] == 1360
    assert run("import", sample, "--store", url) == 0
    assert "is already in the store" in capsys.readouterr().err
    assert run("query", "http", "--store", url, "--output", "jsonl", "--explain") == 0
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert len(rows) == 36
    assert re.search(r"^requests      [45] \([12] lists, 3 reads of [0-9,]+ bytes, 0 writes\)$", said.err, re.MULTILINE)
    assert run("show", rows[0]["id"], "--store", url, "--output", "json") == 0
    assert json.loads(capsys.readouterr().out)["id"] == rows[0]["id"]
    assert run("export", "--store", url, "-o", tmp_path / "out.pcapng") == 0
    assert (tmp_path / "out.pcapng").read_bytes() == sample.read_bytes()
    capsys.readouterr()
    assert run("store", "info", "--store", url, "--output", "json") == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["path"], info["packets"], info["leftovers"]) == (url, 1360, [])
    assert run("store", "verify", "--store", url) == 0
    assert run("store", "snapshot", "create", "a", "--since", "2020-01-01T00:00:00Z", "--store", url) == 0
    assert run("store", "snapshot", "list", "--store", url) == 0
    assert run("store", "prune", "--max-bytes", "1", "--store", url) == 0
    assert run("store", "snapshot", "delete", "a", "--store", url) == 0
    assert run("keys", "list") == 0
    recipient = next(word for word in capsys.readouterr().out.split() if word.startswith("age1"))
    assert run("store", "rotate-keys", "--to", recipient, "--store", url) == 0
    assert run("store", "recover", "--yes", "--store", url) == 0
    assert run("store", "verify", "--store", url) == 0
    assert run("store", "prune", "--max-bytes", "0", "--store", url) == 0
    capsys.readouterr()
    assert run("query", "--store", url, "--output", "jsonl") == 0
    assert capsys.readouterr().out == ""


COMMANDS = [("query",), ("store", "info"), ("store", "verify"), ("export", "-o", "-"), ("serve", "--port", "0")]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_what_is_not_there(
    command: tuple[str, ...], moto_s3: Server, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command, "--store", url) == 1
    assert capsys.readouterr().err.startswith(f"kubeshark: no store at {url}: ")
    assert run(*command, "--store", "s3://no-such-bucket/a") == 1
    assert "s3://no-such-bucket/a: there is no such bucket" in one_line(capsys)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    assert ACCESS not in text
    assert SECRET not in text
    return text


def test_who_may_not(
    moto_s3: Server, url: str, sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("import", sample, "--store", url) == 0
    capsys.readouterr()
    with relay(moto_s3.port) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        between.plan = lambda *_: f"403 <Code>AccessDenied</Code><AWSAccessKeyId>{ACCESS}</AWSAccessKeyId>"
        assert run("query", "--store", url) == 1
        assert "access denied" in one_line(capsys)
        assert run("import", sample, "--store", url) == 1
        assert "access denied" in one_line(capsys)
        between.plan = lambda _number, method, _path: None if method == "GET" else "403 <Code>AccessDenied</Code>"
        assert run("query", "http", "--store", url, "--output", "jsonl") == 0  # a reader needs no more
        capsys.readouterr()
        assert run("store", "prune", "--max-bytes", "0", "--store", url) == 1
        assert "access denied" in one_line(capsys)


def test_nobody_listens(
    moto_s3: Server, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        endpoint = f"http://127.0.0.1:{gone.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert run("query", "--store", url) == 1
    assert one_line(capsys).startswith(f"kubeshark: {url} cannot be reached at {endpoint}")


def test_a_url_that_cannot_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("query", "--store", "ftp://a/b") == 2
    assert "ftp:// is no place for a store" in one_line(capsys)
    assert run("query", "--store", "s3://key:secret-ZZ@a/b") == 2
    assert "secret-ZZ" not in one_line(capsys)


def test_the_environment_names_it(
    moto_s3: Server, url: str, sample: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBESHARK_STORE", url)
    assert run("import", sample) == 0
    assert run("store", "info") == 0
    assert url in capsys.readouterr().out
