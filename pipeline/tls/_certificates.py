"""X.509 certificates of a Certificate message (RFC 5246 §7.4.2), shown: who, by whom, until when, for which names."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from kubeshark.pipeline.tls._hello import Cursor, CutShort

__all__ = ["certificate_documents", "certificate_warnings"]

MAX_CERTIFICATES = 16  # a chain has two or three
MAX_NAMES = 500


def certificate_documents(body: bytes) -> list[dict[str, Any]]:
    """Return a document for each certificate of a TLS 1.2 Certificate message, the server's own first."""
    return [_document(der) for der in _certificates(body)]


def certificate_warnings(documents: list[dict[str, Any]], time_ns: int) -> list[str]:
    """Say what a careful client would dislike about the first certificate at that time (ns since 1970)."""
    if not documents or "subject" not in documents[0]:
        return []
    own, found = documents[0], []
    moment = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).isoformat()
    if own["notAfter"] < moment:
        found.append(f"the certificate expired {own['notAfter']}")
    if own["notBefore"] > moment:
        found.append(f"the certificate is valid from {own['notBefore']}")
    if own["subject"] == own["issuer"]:
        found.append("the certificate is self-signed")
    if own["signatureHash"] in ("md5", "sha1"):
        found.append(f"the certificate is signed with {own['signatureHash']}")
    return found


def _certificates(body: bytes) -> Iterator[bytes]:
    cursor = Cursor(body, 3)
    try:
        for _ in range(MAX_CERTIFICATES):
            if cursor.left <= 0:
                return
            yield cursor.vector(3)
    except CutShort:
        return


def _document(der: bytes) -> dict[str, Any]:
    from cryptography import x509  # slow to import, and most queries show no certificate
    from cryptography.hazmat.primitives import hashes

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old certificates break rules: they are shown all the same
            certificate = x509.load_der_x509_certificate(der)
            return {
                "subject": certificate.subject.rfc4514_string(),
                "issuer": certificate.issuer.rfc4514_string(),
                "serialNumber": f"{certificate.serial_number:x}",
                "notBefore": certificate.not_valid_before_utc.isoformat(),
                "notAfter": certificate.not_valid_after_utc.isoformat(),
                "sans": _names(certificate),
                "signatureHash": certificate.signature_hash_algorithm.name
                if certificate.signature_hash_algorithm
                else "",
                "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
                "size": len(der),
            }
    except Exception as error:  # noqa: BLE001 - the library raises many kinds; a damaged certificate spoils itself alone
        return {"error": f"not a certificate: {type(error).__name__}", "size": len(der)}


def _names(certificate: Any) -> list[str]:
    """Return the subject's alternative names (RFC 5280 §4.2.1.6): DNS names, addresses, URIs, mail addresses."""
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(name.value) for name in list(extension.value)[:MAX_NAMES]]
