"""Identity files, ours and age-keygen's."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeshark.core_capture.store import (
    Identity,
    Recipient,
    create_identity,
    identity_path,
    load_identities,
    parse_recipients,
)
from kubeshark.errors import StoreError, UsageError


def test_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert identity_path() == Path("/home/somebody/.kubeshark/identity.age")
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(tmp_path / "mine"))
    assert identity_path() == tmp_path / "mine"


def test_a_new_identity_is_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "identity.age"
    identity = create_identity(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [i.recipient for i in load_identities(path)] == [identity.recipient]
    with pytest.raises(StoreError, match="exists already"):
        create_identity(path)
    assert identity.secret() not in repr(identity)


def test_age_keygen_reads_ours(tmp_path: Path, tool: Callable[[str], str]) -> None:
    identity = create_identity(tmp_path / "key")
    done = subprocess.run([tool("age-keygen"), "-y", tmp_path / "key"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(identity.recipient)


def test_we_read_age_keygens_several_in_a_file(tmp_path: Path, tool: Callable[[str], str]) -> None:
    texts, publics = [], []
    for number in range(2):
        path = tmp_path / f"key{number}"
        subprocess.run([tool("age-keygen"), "-o", path], capture_output=True, check=True)
        texts.append(path.read_text())
        publics.append(subprocess.run([tool("age-keygen"), "-y", path], capture_output=True, text=True).stdout.strip())
    (tmp_path / "both").write_text("\n\n".join(texts))
    assert [str(identity.recipient) for identity in load_identities(tmp_path / "both")] == publics


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no identity"),
        (b"# only a comment\n", "holds no identity"),
        (b"\n\nAGE-SECRET-KEY-1QQQ\n", "line 3: the identity its checksum is wrong"),
        (b"\xff\xfe\n", "line 1: the identity does not begin with age-secret-key-1"),
        (b"#" * (1 << 20) + b"#", "larger than"),
    ],
)
def test_files_that_are_none(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(StoreError, match=says):
        load_identities(tmp_path / "key")


def test_a_mistyped_secret_is_not_quoted(tmp_path: Path, me: Identity) -> None:
    wrong = me.secret()[:-1] + ("Q" if me.secret()[-1] != "Q" else "P")
    (tmp_path / "key").write_text(wrong)
    with pytest.raises(StoreError) as caught:
        load_identities(tmp_path / "key")
    assert wrong not in str(caught.value)


def test_no_file_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="KUBESHARK_IDENTITY"):
        load_identities(tmp_path / "nothing")


def test_recipients(me: Identity) -> None:
    text = str(me.recipient)
    assert parse_recipients([text, f" {text}\n"]) == (me.recipient,)
    for wrong in ("age1xyz", text[:-1], "AGE-SECRET-KEY-1", ""):
        with pytest.raises(UsageError, match="recipient"):
            Recipient.parse(wrong)
