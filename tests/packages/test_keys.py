"""Key files: private, never replaced, readable by and from openssl."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from kubeshark.errors import UsageError
from kubeshark.packages._keys import create_key, load_key, public_key, read_public_key, signing_key_path


def test_a_key_is_made_once_and_for_its_owner(tmp_path: Path, own_home: Path) -> None:
    path = signing_key_path()
    assert path == own_home / ".kubeshark" / "signing.pem"
    key = create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="exists already"):
        create_key(path)
    assert public_key(load_key(path)) == public_key(key)
    assert read_public_key(path.with_suffix(".pub").read_text()) == public_key(key)


def openssl(*arguments: str | Path) -> str:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def test_keys_of_openssl(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", path)
    pem = openssl("pkey", "-in", path, "-pubout")
    assert read_public_key(pem) == public_key(load_key(path))
    assert read_public_key(read_public_key(pem)) == read_public_key(pem)
    openssl("genpkey", "-algorithm", "x25519", "-out", path)
    with pytest.raises(UsageError, match="is not an Ed25519 key"):
        load_key(path)
    with pytest.raises(UsageError, match="is not an Ed25519 key"):
        read_public_key(openssl("pkey", "-in", path, "-pubout"))
    openssl("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out", path)
    with pytest.raises(UsageError, match="has a passphrase"):
        load_key(path)
    with pytest.raises(UsageError, match="wrong passphrase"):
        load_key(path, lambda _: "y")
    pem = openssl("pkey", "-in", path, "-passin", "pass:x", "-pubout")
    assert read_public_key(pem) == public_key(load_key(path, lambda _: "x"))


def test_a_key_under_a_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    key = create_key(path, "correct horse")
    assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
    asked: list[Path] = []
    assert public_key(load_key(path, lambda of: asked.append(of) or "correct horse")) == public_key(key)
    assert asked == [path]
    pem = openssl("pkey", "-in", path, "-passin", "pass:correct horse", "-pubout")
    assert read_public_key(pem) == public_key(key)
    plain = tmp_path / "plain.pem"
    create_key(plain)
    load_key(plain, lambda _: pytest.fail("it has no passphrase"))


def test_a_broken_key_file_is_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    for text in ("-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n", "", "secret" * 10_000):
        path.write_text(text)
        with pytest.raises(UsageError) as caught:
            load_key(path)
        assert "secret" not in str(caught.value)
    with pytest.raises(UsageError, match="not a public key in PEM form"):
        read_public_key("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")
