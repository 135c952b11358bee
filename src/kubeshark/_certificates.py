"""Certificates for a cluster that has no authority of its own: one that signs, one for the hub, one for each worker.

Each key is good for one thing: the hub's asks, a worker's answers. So who takes a worker's files from its node cannot
read other workers with them, nor act as hub.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubeshark.errors import StoreError, UsageError

__all__ = ["HUB_NAME", "Pair", "issue", "make_pair"]

CERTIFICATE, KEY, AUTHORITY = "tls.crt", "tls.key", "ca.crt"  # as Kubernetes and cert-manager name them

HUB_NAME = "kubeshark-hub"
"""What a hub's certificate says, as DNS name or URI; `worker --allow` names another."""

AUTHORITY_DAYS, LEAF_DAYS = 3650, 825
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


def issue(folder: Path, hosts: Sequence[str], *, hub: str = HUB_NAME, days: int = LEAF_DAYS) -> list[Path]:
    """Make what is not there yet: an authority, a hub's folder, and a folder for each worker; return the new folders.

    A worker is HOST or HOST,OTHER,…: the names and addresses under which the hub reaches it; its folder is called like
    the first. Raises StoreError, before anything is written, if a worker's folder is there: nothing is ever replaced.
    """
    names = [_parse(host) for host in hosts]
    for first, *_ in names:
        if (folder / first).exists() or first in ("authority", "hub"):
            raise StoreError(f"{folder / first} exists already", hint="a key is never replaced: move it away")
    made: list[Path] = []
    try:
        certificate, key = _authority(folder / "authority", made)
        if not (folder / "hub").exists():
            _write(folder / "hub", _leaf(certificate, key, [hub], ExtendedKeyUsageOID.CLIENT_AUTH, days))
            made.append(folder / "hub")
        for each in names:
            _write(folder / each[0], _leaf(certificate, key, each, ExtendedKeyUsageOID.SERVER_AUTH, days))
            made.append(folder / each[0])
    except OSError as error:
        raise StoreError(f"cannot write {error.filename or folder}: {error.strerror}") from error
    return made


@dataclass(frozen=True, slots=True)
class Pair:
    """What a hub and its workers show each other: file name → PEM, as a Secret holds it."""

    hub: dict[str, bytes]
    worker: dict[str, bytes]


def make_pair(worker: str, *, hub: str = HUB_NAME, days: int = LEAF_DAYS) -> Pair:
    """Return certificates for a hub and for workers that share a name; nobody keeps the authority's key."""
    authority, key = _new_authority()
    return Pair(
        _leaf(authority, key, [hub], ExtendedKeyUsageOID.CLIENT_AUTH, days),
        _leaf(authority, key, [worker], ExtendedKeyUsageOID.SERVER_AUTH, days),
    )


def _parse(host: str) -> list[str]:
    names = [name.strip().strip("[]") for name in host.split(",")]
    for name in names:
        if not (_NAME.fullmatch(name) or _is_address(name)):
            raise UsageError(f"{name[:100]!r} is no host", hint="write NAME or ADDRESS, several with commas between")
    return names


def _authority(folder: Path, made: list[Path]) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the authority that lies in a folder, a new one if there is none."""
    if folder.exists():
        try:
            key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
            certificate = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
        except (ValueError, TypeError) as error:
            raise StoreError(f"{folder} holds no authority that can sign: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise StoreError(f"{folder / 'ca.key'} was not made by kubeshark")
        return certificate, key
    certificate, key = _new_authority()
    _write(folder, {"ca.key": _pem(key), AUTHORITY: certificate.public_bytes(serialization.Encoding.PEM)})
    made.append(folder)
    return certificate, key


def _new_authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("kubeshark authority")
    certificate = (
        _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _leaf(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    names: Sequence[str],
    use: x509.ObjectIdentifier,
    days: int,
) -> dict[str, bytes]:
    """Return the files of one certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    shown = [x509.IPAddress(ip_address(name)) if _is_address(name) else x509.DNSName(name) for name in names]
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    certificate = (
        _builder(_name(names[0][:64]), authority.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .add_extension(x509.SubjectAlternativeName(shown), critical=False)
        .add_extension(identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return {
        KEY: _pem(key),
        CERTIFICATE: certificate.public_bytes(pem),
        AUTHORITY: authority.public_bytes(pem),
    }


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks of nodes differ
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(folder: Path, contents: dict[str, bytes]) -> None:
    """Write new files (mode 0600) into a new folder (0700)."""
    folder.mkdir(parents=True, mode=0o700)
    for name, content in contents.items():
        fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
