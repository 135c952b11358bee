"""JA3 and JA3S (salesforce/ja3), JA4 (FoxIO, "JA4: TLS Client Fingerprinting", BSD-licensed method): hello to text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

from kubeshark.pipeline.tls._hello import ALPN, SERVER_NAME, ClientHello, ServerHello
from kubeshark.pipeline.tls._names import is_grease

__all__ = ["ja3", "ja3s", "ja4"]

VERSION_CODES = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}
NOTHING = "0" * 12


def ja3(hello: ClientHello) -> str:
    """Return the MD5 of version, suites, extensions, groups and point formats, without GREASE."""
    parts = (
        str(hello.version),
        _joined(hello.suites),
        _joined(number for number, _ in hello.extensions),
        _joined(hello.groups),
        "-".join(map(str, hello.point_formats)),
    )
    return _md5(",".join(parts))


def ja3s(hello: ServerHello) -> str:
    """Return the MD5 of version, suite and extensions."""
    extensions = "-".join(str(number) for number, _ in hello.extensions)
    return _md5(f"{hello.legacy_version},{hello.suite},{extensions}")


def ja4(hello: ClientHello, transport: Literal["t", "q", "d"] = "t") -> str:
    """Return the fingerprint: transport, version, counts and ALPN; hash of suites; hash of extensions."""
    suites = sorted(f"{suite:04x}" for suite in hello.suites if not is_grease(suite))
    kinds = [number for number, _ in hello.extensions if not is_grease(number)]
    offered = [version for version in hello.versions if version in VERSION_CODES]
    best = max(offered, key=_age, default=0)
    version = VERSION_CODES.get(best, "00")
    head = (
        f"{transport}{version}{'d' if SERVER_NAME in kinds else 'i'}"
        f"{min(len(suites), 99):02}{min(len(kinds), 99):02}{_ends(hello)}"
    )
    sorted_kinds = sorted(f"{kind:04x}" for kind in kinds if kind not in (SERVER_NAME, ALPN))
    signatures = ",".join(f"{scheme:04x}" for scheme in hello.signature_algorithms if not is_grease(scheme))
    rest = ",".join(sorted_kinds) + (f"_{signatures}" if signatures else "")
    return f"{head}_{_short_hash(','.join(suites))}_{_short_hash(rest if sorted_kinds else '')}"


def _age(version: int) -> int:
    """Order versions from old to new: numbers of DTLS fall."""
    return 0x1_0000 - version if version >> 8 == 0xFE else version


def _ends(hello: ClientHello) -> str:
    """First and last character of the first ALPN value; of its hex digits where one of them is no letter or digit."""
    body = hello.extension(ALPN)
    name = body[3 : 3 + body[2]] if body and len(body) > 2 else b""
    if not name:
        return "00"
    first, last = chr(name[0]), chr(name[-1])
    if all(character.isascii() and character.isalnum() for character in (first, last)):
        return first + last
    return name.hex()[0] + name.hex()[-1]


def _joined(numbers: Iterable[int]) -> str:
    return "-".join(str(number) for number in numbers if not is_grease(number))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("ascii"), usedforsecurity=False).hexdigest()


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:12] if text else NOTHING
