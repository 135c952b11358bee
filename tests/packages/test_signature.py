"""Signatures fit one plugin, one version, one digest, one key."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from kubeshark.errors import PluginRejected, UsageError
from kubeshark.packages._inspect import inspect
from kubeshark.packages._keys import load_key, sign
from kubeshark.packages._signature import parse_public_key, parse_signature, signed_text, verify
from tests.packages._plugins import make_key, make_package

DIGEST = "a" * 64


def test_a_signature_of_one_thing_is_none_of_another(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    signature = parse_signature(sign(load_key(tmp_path / "key"), "demo", "1.0.0", DIGEST).to_bytes(), "demo")
    verify(signature, "demo", "1.0.0", DIGEST)
    for plugin, version, digest, reason in (
        ("other", "1.0.0", DIGEST, "is one of demo 1.0.0"),
        ("demo", "1.0.1", DIGEST, "is one of demo 1.0.0"),
        ("demo", "1.0.0", "b" * 64, "is one of other contents"),
    ):
        with pytest.raises(PluginRejected, match=reason):
            verify(signature, plugin, version, digest)
        with pytest.raises(PluginRejected, match="its signature is wrong"):  # also where the file lies about it
            verify(replace(signature, id=plugin, version=version, digest=digest), plugin, version, digest)


def test_a_changed_signature(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    other = make_key(tmp_path / "other")
    signature = sign(load_key(tmp_path / "key"), "demo", "1.0.0", DIGEST)
    raw = bytearray(base64.b64decode(signature.signature))
    raw[5] ^= 1
    for changed in (
        replace(signature, signature=base64.b64encode(raw).decode()),
        replace(signature, signature=""),
        replace(signature, signature="not base64!"),
        replace(signature, signature=base64.b64encode(raw[:-1]).decode()),
        replace(signature, key=other),
    ):
        with pytest.raises(PluginRejected, match="its signature is wrong"):
            verify(changed, "demo", "1.0.0", DIGEST)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[" * 5000,
        b'{"x":' + b"[" * 4000,
        b'{"format": 2}',
        b'{"id":"a","version":"1","digest":"","key":"x","signature":""}',
    ],
)
def test_what_is_no_signature_file(data: bytes) -> None:
    with pytest.raises(PluginRejected, match="signature file cannot be read"):
        parse_signature(data, "demo")


@pytest.mark.parametrize("text", ["", "ed25519:", "ed25519:AAAA", "rsa:x", "ed25519:" + "=" * 44])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(UsageError, match="is not an Ed25519 public key"):
        parse_public_key(text)


def test_openssl_agrees(tmp_path: Path) -> None:
    """Key and signature are what any Ed25519 tool reads."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    make_key(tmp_path / "key")
    signature = sign(load_key(tmp_path / "key"), "demo", "1.0.0", DIGEST)
    (tmp_path / "text").write_bytes(signed_text("demo", "1.0.0", DIGEST))
    (tmp_path / "signature").write_bytes(base64.b64decode(signature.signature))
    command = ["openssl", "pkeyutl", "-verify", "-inkey", "key", "-rawin", "-in", "text", "-sigfile", "signature"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "Verified Successfully" in done.stdout, done.stderr


def test_inspecting_checks_package_and_signature(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    package = make_package(tmp_path, key=tmp_path / "key")
    found = inspect(package)
    assert (found.file_name, found.signature and found.signature.key) == ("demo-1.0.0.ksp", key)
    other = make_package(tmp_path, "other")
    shutil.copy(tmp_path / "demo-1.0.0.ksp.sig", tmp_path / "other-1.0.0.ksp.sig")
    with pytest.raises(PluginRejected, match="its signature is one of demo"):
        inspect(other)
    assert inspect(other, ignore_signature=True).signature is None
