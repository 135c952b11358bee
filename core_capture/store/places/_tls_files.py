"""Which certificate this machine shows to others of the cluster, and which it believes.

Three files, named as Kubernetes and cert-manager name them in a Secret: tls.crt, tls.key, ca.crt.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from kubeshark.errors import StoreError

if TYPE_CHECKING:
    import ssl

__all__ = ["AUTHORITY", "CERTIFICATE", "KEY", "TlsFiles"]

CERTIFICATE, KEY, AUTHORITY = "tls.crt", "tls.key", "ca.crt"


class TlsFiles(Struct, frozen=True):
    """Where certificate, private key and the authority that signed everybody's lie."""

    certificate: Path
    key: Path
    authority: Path
    peer: str = ""  # what the other side's certificate says, where it is not what it is called by: an address

    @classmethod
    def in_folder(cls, folder: Path | None = None) -> Self:
        """Return those in a folder, by default $KUBESHARK_TLS or ~/.kubeshark/tls."""
        folder = folder or Path(os.environ.get("KUBESHARK_TLS") or "~/.kubeshark/tls").expanduser()
        return cls(folder / CERTIFICATE, folder / KEY, folder / AUTHORITY)

    def context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        """Return a context that shows our certificate and demands one of our authority, over TLS 1.3 alone.

        `purpose`: whom we verify; a certificate for another use is refused. Raises StoreError for files that cannot be
        read or do not belong together.
        """
        import ssl  # who names no worker has no need of it

        side = ssl.PROTOCOL_TLS_CLIENT if purpose is ssl.Purpose.SERVER_AUTH else ssl.PROTOCOL_TLS_SERVER
        context = ssl.SSLContext(side)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        loads: tuple[tuple[Path, Callable[[], None]], ...] = (
            (self.authority, lambda: context.load_verify_locations(self.authority)),
            (self.certificate, lambda: context.load_cert_chain(self.certificate, self.key, password=_no_passphrase)),
        )
        for path, load in loads:
            try:
                load()
            except FileNotFoundError:
                missing = next((each for each in (path, self.key) if not each.exists()), path)
                hint = 'name it with --tls, or make it: "kubeshark worker init-tls --help"'
                raise StoreError(f"there is no {missing}", hint=hint) from None
            except ssl.SSLError as error:
                said = error.reason or str(error)
                raise StoreError(f"{path}: cannot be used for TLS ({said.replace('_', ' ').lower()})") from error
            except OSError as error:
                raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
        return context


def _no_passphrase() -> str:
    raise ssl.SSLError(0, "its key has a passphrase, and nobody is here to type it")
