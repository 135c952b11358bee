"""Identity files under a passphrase: age's own, ours, and every way to be wrong."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeshark.core_capture.store import create_identity, load_identities
from kubeshark.core_capture.store.keys._passphrase import (
    MAX_WORK_FACTOR,
    ask_new_passphrase,
    ask_passphrase,
    is_protected,
    protect,
    unprotect,
)
from kubeshark.errors import Damaged, KubesharkError, StoreError, UsageError
from tests.core_capture.store._typing_person import run_on_a_terminal

SECRET = "correct horse battery staple"


def never() -> str:
    raise AssertionError("nobody needs to be asked")


@pytest.fixture
def from_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(f"{SECRET}\nmore\n")
    monkeypatch.setenv("KUBESHARK_PASSPHRASE_FILE", str(path))
    return path


@pytest.mark.parametrize("size", [0, 1, 1 << 16, (1 << 16) + 1, 3 << 16])
def test_round_trip(size: int) -> None:
    plain = os.urandom(size)
    sealed = protect(plain, SECRET, 1)
    assert is_protected(sealed)
    assert unprotect(sealed, lambda: SECRET, "f") == plain
    with pytest.raises(StoreError, match="wrong passphrase for f"):
        unprotect(sealed, lambda: "another", "f")


def test_age_opens_ours(tmp_path: Path, tool: Callable[[str], str]) -> None:
    identity = create_identity(tmp_path / "identity.age", SECRET)
    code, shown = run_on_a_terminal([tool("age"), "-d", "-o", tmp_path / "plain", tmp_path / "identity.age"], [SECRET])
    assert code == 0, shown
    assert identity.secret() in (tmp_path / "plain").read_text()


def test_age_uses_ours_as_identity(tmp_path: Path, tool: Callable[[str], str]) -> None:
    identity = create_identity(tmp_path / "identity.age", SECRET)
    sealed = subprocess.run(
        [tool("age"), "-r", str(identity.recipient)], input=b"hello", capture_output=True, check=True
    )
    (tmp_path / "file.age").write_bytes(sealed.stdout)
    command = [tool("age"), "-d", "-i", tmp_path / "identity.age", "-o", tmp_path / "plain", tmp_path / "file.age"]
    code, shown = run_on_a_terminal(command, [SECRET])
    assert code == 0, shown
    assert (tmp_path / "plain").read_bytes() == b"hello"


@pytest.mark.parametrize("armor", [[], ["-a"]], ids=["binary", "armored"])
def test_we_open_ages(armor: list[str], tmp_path: Path, tool: Callable[[str], str], from_file: Path) -> None:
    subprocess.run([tool("age-keygen"), "-o", tmp_path / "plain"], capture_output=True, check=True)
    public = subprocess.run(
        [tool("age-keygen"), "-y", tmp_path / "plain"], capture_output=True, text=True
    ).stdout.strip()
    command = [tool("age"), "-p", *armor, "-o", tmp_path / "identity.age", tmp_path / "plain"]
    code, shown = run_on_a_terminal(command, [SECRET, SECRET])
    assert code == 0, shown
    assert [str(identity.recipient) for identity in load_identities(tmp_path / "identity.age")] == [public]


def test_asked_on_the_terminal(tmp_path: Path, root: Path) -> None:
    import sys

    create_identity(tmp_path / "identity.age", SECRET)
    program = "from pathlib import Path; from kubeshark.core_capture.store import load_identities; import sys\n"
    program += "print(load_identities(Path(sys.argv[1]))[0].recipient)"
    code, shown = run_on_a_terminal([sys.executable, "-c", program, tmp_path / "identity.age"], [SECRET])
    assert code == 0, shown
    assert f"Passphrase of {tmp_path}/identity.age:" in shown
    assert "age1" in shown
    assert SECRET not in shown


def test_without_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: Path, *_arguments: object, **_named: object) -> None:
        raise OSError("no such device")

    monkeypatch.delenv("KUBESHARK_PASSPHRASE_FILE", raising=False)
    monkeypatch.setattr(Path, "open", none)
    with pytest.raises(StoreError, match=r"no terminal to ask for the passphrase: .*KUBESHARK_PASSPHRASE_FILE"):
        ask_passphrase(tmp_path)


def test_from_a_file(from_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask_passphrase(tmp_path) == ask_new_passphrase(tmp_path) == SECRET
    for content in (b"", b"\n" + SECRET.encode(), b"x" * 5000, b"\xff\n"):
        from_file.write_bytes(content)
        with pytest.raises(StoreError, match="passphrase"):
            ask_passphrase(tmp_path)
    monkeypatch.setenv("KUBESHARK_PASSPHRASE_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="cannot read the passphrase file"):
        ask_passphrase(tmp_path)


def test_a_new_one_is_asked_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubeshark.core_capture.store.keys import _passphrase

    for answers, says in ((["a", "b"], "not the same"), (["", ""], "is empty")):
        typed = iter(answers)
        monkeypatch.setattr(_passphrase, "_ask", lambda _prompt, typed=typed: next(typed))
        with pytest.raises(UsageError, match=says):
            ask_new_passphrase(tmp_path)


def test_work_factors_are_bounded() -> None:
    """Nobody is asked, and nothing is stretched, for a file that wants too much."""
    sealed = protect(b"x", SECRET, 1)
    at = sealed.index(b" 1\n")
    for factor in (b"21", b"64", b"999999"):
        with pytest.raises(StoreError, match=f"work factor above {MAX_WORK_FACTOR}"):
            unprotect(sealed[:at] + b" " + factor + sealed[at + 2 :], never, "f")
    for factor in (b"", b"0", b"01", b"-1", b"x"):
        with pytest.raises(Damaged):
            unprotect(sealed[:at] + b" " + factor + sealed[at + 2 :], never, "f")


def test_other_recipients(tmp_path: Path, tool: Callable[[str], str]) -> None:
    sealed = subprocess.run(
        [tool("age"), "-r", str(create_identity(tmp_path / "k").recipient)], input=b"", capture_output=True
    )
    with pytest.raises(StoreError, match="not under a passphrase"):
        unprotect(sealed.stdout, never, "f")


def test_armor_that_is_cut() -> None:
    for content in (b"-----BEGIN AGE ENCRYPTED FILE-----", b"-----BEGIN AGE ENCRYPTED FILE-----\nx\n"):
        with pytest.raises(Damaged, match="armor"):
            unprotect(content, never, "f")


SEALED = protect(b"AGE-SECRET-KEY-1", SECRET, 1)


@settings(max_examples=300)
@given(at=st.integers(0, len(SEALED) - 1), bit=st.integers(0, 7), end=st.integers(0, len(SEALED)))
def test_no_change_goes_unnoticed(at: int, bit: int, end: int) -> None:
    changed = SEALED[:at] + bytes([SEALED[at] ^ 1 << bit]) + SEALED[at + 1 :]
    for content in (changed, SEALED[:end] if end < len(SEALED) else SEALED + b"x"):
        with pytest.raises(KubesharkError):
            unprotect(content, lambda: SECRET, "f")
