"""Certificates for a cluster that has no authority of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from kubeshark._certificates import issue
from kubeshark.errors import StoreError, UsageError


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_each_is_good_for_one_thing(tmp_path: Path) -> None:
    made = issue(tmp_path / "pki", ["node-1,10.0.0.1,fd00::1"])
    assert [path.name for path in made] == ["authority", "hub", "node-1"]
    authority = certificate(tmp_path / "pki/authority/ca.crt")
    for name, use in (("hub", ExtendedKeyUsageOID.CLIENT_AUTH), ("node-1", ExtendedKeyUsageOID.SERVER_AUTH)):
        leaf = certificate(tmp_path / "pki" / name / "tls.crt")
        leaf.verify_directly_issued_by(authority)
        assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [use]
        assert (tmp_path / "pki" / name / "ca.crt").read_bytes() == (tmp_path / "pki/authority/ca.crt").read_bytes()
    names = certificate(tmp_path / "pki/node-1/tls.crt").extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["node-1"]
    assert list(map(str, names.value.get_values_for_type(x509.IPAddress))) == ["10.0.0.1", "fd00::1"]


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    issue(tmp_path / "pki", ["node-1"])
    for path in (tmp_path / "pki").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert not list((tmp_path / "pki/node-1").glob("ca.key"))  # who has a node cannot make certificates


def test_more_workers_later_and_nothing_replaced(tmp_path: Path) -> None:
    issue(tmp_path / "pki", ["node-1"])
    before = {path: path.read_bytes() for path in (tmp_path / "pki").rglob("*") if path.is_file()}
    assert [path.name for path in issue(tmp_path / "pki", ["node-2"])] == ["node-2"]
    with pytest.raises(StoreError, match="node-1 exists already"):
        issue(tmp_path / "pki", ["node-3", "node-1"])
    assert not (tmp_path / "pki/node-3").exists()
    assert {path: path.read_bytes() for path in before} == before
    certificate(tmp_path / "pki/node-2/tls.crt").verify_directly_issued_by(
        certificate(tmp_path / "pki/authority/ca.crt")
    )


@pytest.mark.parametrize("host", ["", "../x", "a/b", "a b", "-x", "node-1,", "authority"])
def test_what_is_no_host(tmp_path: Path, host: str) -> None:
    with pytest.raises((UsageError, StoreError)):
        issue(tmp_path / "pki", [host])
    assert not (tmp_path / "pki").exists()
