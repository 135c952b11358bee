"""Certificates: made here, shown, and damaged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kubeshark.pipeline.tls._certificates import certificate_documents, certificate_warnings

from ._hellos import certificate

START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)


def made() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    names = x509.SubjectAlternativeName([x509.DNSName("shop.example"), x509.DNSName("*.shop.example")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, START, END).add_extension(names, False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.fixture(scope="module")
def der() -> bytes:
    return made()


def test_document(der: bytes) -> None:
    (shown,) = certificate_documents(certificate(der)[4:])
    assert shown["subject"] == shown["issuer"] == "CN=shop.example"
    assert (shown["serialNumber"], shown["sans"]) == ("7", ["shop.example", "*.shop.example"])
    assert (shown["notBefore"], shown["notAfter"]) == (START.isoformat(), END.isoformat())
    assert (shown["signatureHash"], shown["size"], len(shown["sha256"])) == ("sha256", len(der), 64)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (START - timedelta(days=1), ["the certificate is valid from 2024-01-01T00:00:00+00:00"]),
        (START + timedelta(days=1), []),
        (END + timedelta(days=1), ["the certificate expired 2025-01-01T00:00:00+00:00"]),
    ],
    ids=["before", "during", "after"],
)
def test_warnings(der: bytes, when: datetime, expected: list[str]) -> None:
    shown = certificate_documents(certificate(der)[4:])
    found = certificate_warnings(shown, int(when.timestamp()) * 1_000_000_000)
    assert found == [*expected, "the certificate is self-signed"]


def test_damaged_certificate_spoils_itself_alone(der: bytes) -> None:
    shown = certificate_documents(certificate(b"\x30\x03\x02\x01", der)[4:])
    assert [("error" in one) for one in shown] == [True, False]
    assert certificate_warnings(shown, 0) == []


def test_chain_cut_short(der: bytes) -> None:
    assert len(certificate_documents(certificate(der, der)[4:-1])) == 1
    assert certificate_documents(b"\0") == certificate_documents(b"") == []


@pytest.mark.parametrize("at", range(0, 300, 7))
def test_any_byte_may_be_wrong(der: bytes, at: int) -> None:
    broken = bytearray(der)
    broken[at % len(der)] ^= 0xFF
    assert len(certificate_documents(certificate(bytes(broken))[4:])) == 1
