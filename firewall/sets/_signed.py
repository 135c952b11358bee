"""Sets of policies that a hub signed: by the key of its certificate, which the cluster's authority vouches for.

A machine keeps the signed set on its disk and checks it again when it starts: who can write that file, or speak in
between, enforces nothing that a hub has not said to this very machine.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.errors import StoreError, UsageError

__all__ = ["seal", "unseal"]

PURPOSE = b"kubeshark firewall set\0"
MAX_CHAIN = 5


def seal(document: dict[str, Any], tls: TlsFiles) -> dict[str, str]:
    """Return the document as text, signed; StoreError if there is no key to sign with."""
    body = json.dumps(document, sort_keys=True, ensure_ascii=False)
    data = PURPOSE + body.encode()
    try:
        key = serialization.load_pem_private_key(tls.key.read_bytes(), password=None)
        certificate = tls.certificate.read_text(encoding="ascii")
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{tls.key}: nothing can be signed with it", hint="see --tls") from error
    if isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(data, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(data)
    elif isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    else:
        raise StoreError(f"{tls.key} is of a kind that signs nothing here", hint="use EC, Ed25519 or RSA")
    return {"body": body, "signature": base64.b64encode(signature).decode(), "certificate": certificate}


def unseal(envelope: Any, authority: Path, allowed: Collection[str]) -> dict[str, Any]:
    """Return the document; UsageError unless a hub signed it that is `allowed` and of this authority.

    Certificates' times are not asked: a hub that could sign when it did is not doubted a year later on a machine that
    starts again while its hub is away.
    """
    try:
        data = str(envelope["body"]).encode()
        signature = base64.b64decode(str(envelope["signature"]), validate=True)
        chain = x509.load_pem_x509_certificates(str(envelope["certificate"]).encode())
        trusted = x509.load_pem_x509_certificates(authority.read_bytes())
        _check_chain(chain, trusted)
        _check_hub(chain[0], allowed)
        _check_signature(chain[0], signature, PURPOSE + data)
        document = json.loads(data)
    except (KeyError, TypeError, ValueError, binascii.Error, InvalidSignature, x509.ExtensionNotFound) as error:
        why = str(error) or "its signature is not the certificate's"
        raise UsageError(f"a set of policies that no hub of this cluster signed: {why:.200}") from error
    except OSError as error:
        raise StoreError(f"cannot read {authority}: {error.strerror}") from error
    if not isinstance(document, dict):
        raise UsageError("a set of policies is an object")
    return document


def _check_chain(chain: list[x509.Certificate], trusted: list[x509.Certificate]) -> None:
    if not 0 < len(chain) <= MAX_CHAIN:
        raise ValueError("a chain of certificates that is too long")
    for certificate, issuer in pairwise(chain):
        if any(_issued(certificate, root) for root in trusted):
            return
        if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca or not _issued(
            certificate, issuer
        ):
            raise ValueError("its chain of certificates is broken")
    if not any(_issued(chain[-1], root) for root in trusted):
        raise ValueError("its certificate is of another authority")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_hub(certificate: x509.Certificate, allowed: Collection[str]) -> None:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    shown = {*names.get_values_for_type(x509.DNSName), *names.get_values_for_type(x509.UniformResourceIdentifier)}
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if not shown & set(allowed) or ExtendedKeyUsageOID.CLIENT_AUTH not in uses:
        raise ValueError("its certificate is none of a hub's that may do this")


def _check_signature(certificate: x509.Certificate, signature: bytes, data: bytes) -> None:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, data)
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    else:
        raise InvalidSignature("its key is of a kind that is not known")
