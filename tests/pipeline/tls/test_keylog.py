"""Key logs: every kind of line, and every kind of nonsense."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.tls import _keylog
from kubeshark.pipeline.tls._keylog import KeyLog

RANDOM, MASTER = "0a" * 32, "bb" * 48


def test_lines() -> None:
    log = KeyLog.parse(
        f"# comment\n\nCLIENT_RANDOM {RANDOM} {MASTER}\r\n"
        f"SERVER_TRAFFIC_SECRET_0 {RANDOM} {'cc' * 32}\n"
        f"EXPORTER_SECRET {RANDOM} {'dd' * 32}\nCLIENT_TRAFFIC_SECRET_1 {RANDOM} {'dd' * 32}\n"
        f"RSA {'11' * 8} {'22' * 48}"
    )
    assert (log.bad_lines, len(log), bool(log)) == (0, 2, True)
    secrets = {"CLIENT_RANDOM": b"\xbb" * 48, "SERVER_TRAFFIC_SECRET_0": b"\xcc" * 32}
    assert log.secrets(b"\x0a" * 32) == secrets
    assert log.premaster(b"\x11" * 128) == b"\x22" * 48
    assert log.secrets(bytes(32)) == {}
    assert log.premaster(b"") is None


@pytest.mark.parametrize(
    "line",
    [
        f"CLIENT_RANDOM {RANDOM}",
        f"CLIENT_RANDOM {RANDOM} {'bb' * 47}",
        f"CLIENT_RANDOM {RANDOM[2:]} {MASTER}",
        f"CLIENT_RANDOM {RANDOM} {MASTER} more",
        f"CLIENT_RANDOM  {RANDOM} {MASTER}",
        f"client_random {RANDOM} {MASTER}",
        f"SECRET_OF_MINE {RANDOM} {MASTER}",
        f"CLIENT_RANDOM {RANDOM} {MASTER[:-1]}x",
        "x" * 100_000,
        "\xff\0",
    ],
    ids=range(10),
)
def test_bad_lines_are_counted(line: str) -> None:
    log = KeyLog.parse(f"{line}\nCLIENT_RANDOM {RANDOM} {MASTER}\n".encode("latin-1"))
    assert (log.bad_lines, len(log)) == (1, 1)


def test_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_keylog, "MAX_LINES", 2)
    log = KeyLog.parse("".join(f"CLIENT_RANDOM {number:064x} {MASTER}\n" for number in range(5)))
    assert (len(log), log.bad_lines) == (2, 1)


def test_merged() -> None:
    one = KeyLog.parse(f"SERVER_TRAFFIC_SECRET_0 {RANDOM} {'cc' * 32}\nbad")
    two = KeyLog.parse(f"CLIENT_TRAFFIC_SECRET_0 {RANDOM} {'dd' * 32}\nRSA {'11' * 8} {'22' * 48}")
    both = one.merged(two)
    assert sorted(both.secrets(b"\x0a" * 32)) == ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"]
    assert (len(both), both.bad_lines, len(one)) == (2, 1, 1)


def test_secrets_are_not_shown() -> None:
    log = KeyLog.parse(f"CLIENT_RANDOM {RANDOM} {MASTER}")
    assert repr(log) == str(log) == "<KeyLog: 1 sessions>"
    with pytest.raises(TypeError):
        pickle.dumps(log)


def test_secrets_are_written_only_where_they_are_asked_for() -> None:
    text = f"CLIENT_RANDOM {RANDOM} {MASTER}\nSERVER_TRAFFIC_SECRET_0 {RANDOM} {'cc' * 32}\nRSA {'11' * 8} {'22' * 48}"
    log = KeyLog.parse(text)
    again = KeyLog.parse(log.secret_text())
    assert again.secrets(bytes.fromhex(RANDOM)) == log.secrets(bytes.fromhex(RANDOM)) != {}
    assert again.premaster(b"\x11" * 8) == b"\x22" * 48
    assert KeyLog().secret_text() == b""


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_anything(text: str | bytes) -> None:
    assert not KeyLog.parse(text)
