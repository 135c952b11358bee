"""Certificates as files: where they are looked for, and what is said about those that cannot be used."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from kubeshark._certificates import issue
from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.errors import StoreError


def test_where_they_lie(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    assert TlsFiles.in_folder().key == own_home / ".kubeshark/tls/tls.key"
    monkeypatch.setenv("KUBESHARK_TLS", "/run/secrets/tls")
    assert TlsFiles.in_folder() == TlsFiles(
        *(Path("/run/secrets/tls") / name for name in ("tls.crt", "tls.key", "ca.crt"))
    )


def test_contexts_demand_a_certificate_and_the_newest_tls(tmp_path: Path) -> None:
    issue(tmp_path / "pki", ["node-1"])
    for purpose in (ssl.Purpose.SERVER_AUTH, ssl.Purpose.CLIENT_AUTH):
        context = TlsFiles.in_folder(tmp_path / "pki/hub").context(purpose)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert TlsFiles.in_folder(tmp_path / "pki/hub").context(ssl.Purpose.SERVER_AUTH).check_hostname


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    issue(tmp_path / "pki", ["node-1"])
    hub = tmp_path / "pki/hub"

    def said(files: TlsFiles) -> str:
        with pytest.raises(StoreError) as caught:
            files.context(ssl.Purpose.SERVER_AUTH)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert f"there is no {tmp_path}/none/ca.crt" in said(TlsFiles.in_folder(tmp_path / "none"))
    other_key = TlsFiles(hub / "tls.crt", tmp_path / "pki/node-1/tls.key", hub / "ca.crt")
    assert "tls.crt: cannot be used for TLS (key values mismatch)" in said(other_key)
    assert f"there is no {tmp_path}/gone" in said(TlsFiles(hub / "tls.crt", tmp_path / "gone", hub / "ca.crt"))
    (tmp_path / "junk").write_bytes(b"\0\xff" * 100)
    assert "junk: cannot be used" in said(TlsFiles(hub / "tls.crt", hub / "tls.key", tmp_path / "junk"))
