"""LDAP inside a SASL security layer: 4-octet length, then a GSS-API or NTLM token (RFC 4422 §3.7, RFC 4752 §3.1).

A layer that only signs leaves the message readable; one that seals hides it.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MAX_BUFFER", "PREFIX_BYTES", "Wrapped", "begins_buffer", "unwrap"]

PREFIX_BYTES = 4
MAX_BUFFER = 16 << 20  # of a sender; Active Directory's limit is 10 MiB
_KRB5_WRAP = b"\x05\x04"
_KRB5_HEADER = 16
_SEALED = 0x02
_NTLM_SIGNATURE = b"\x01\0\0\0"  # [MS-NLMP] §2.2.2.9.1: version, checksum, sequence number
_NTLM_HEADER = 16
_OLD_GSS = b"\x60"  # RFC 1964 wraps each token in an application tag


class Wrapped(NamedTuple):
    mechanism: str  # "Kerberos" or "NTLM"
    clear: bytes  # the messages inside; b"" where they are sealed


def begins_buffer(head: bytes) -> bool:
    """Say whether the first octets (6 are enough) are the length of a buffer and a known token."""
    if len(head) < PREFIX_BYTES + 2 or not 16 < int.from_bytes(head[:PREFIX_BYTES], "big") <= MAX_BUFFER:
        return False
    token = head[PREFIX_BYTES:]
    return token.startswith((_KRB5_WRAP, _OLD_GSS)) or token[:4] == _NTLM_SIGNATURE[: len(token[:4])]


def unwrap(token: bytes) -> Wrapped:
    """Return what a token holds, as far as that can be read without keys."""
    if token.startswith(_KRB5_WRAP) and len(token) >= _KRB5_HEADER:
        if token[2] & _SEALED:
            return Wrapped("Kerberos", b"")
        checksum, rotated = int.from_bytes(token[4:6], "big"), int.from_bytes(token[6:8], "big")
        body = token[_KRB5_HEADER:]
        if body:
            rotated %= len(body)
            body = body[rotated:] + body[:rotated]  # RFC 4121 §4.2.5
        return Wrapped("Kerberos", body[: max(0, len(body) - checksum)])
    if token.startswith(_NTLM_SIGNATURE):
        clear = token[_NTLM_HEADER:]
        return Wrapped("NTLM", clear if clear.startswith(b"\x30") else b"")
    return Wrapped("Kerberos", b"")
