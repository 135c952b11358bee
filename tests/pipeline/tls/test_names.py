"""Names of numbers, compared with OpenSSL's."""

from __future__ import annotations

import subprocess

import pytest

from kubeshark.pipeline.tls._names import (
    alert_name,
    extension_name,
    group_name,
    is_grease,
    is_weak_suite,
    signature_name,
    suite_name,
    version_name,
)


def test_grease() -> None:
    expected = [at << 12 | 0xA00 | at << 4 | 10 for at in range(16)]
    assert [number for number in range(1 << 16) if is_grease(number)] == expected
    assert suite_name(0xDADA) == extension_name(0xDADA) == group_name(0xDADA) == signature_name(0xDADA) == "GREASE"


def test_names() -> None:
    assert suite_name(0xC02F) == "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    assert suite_name(0xEEEE) == "0xeeee"
    assert extension_name(51) == "key_share"
    assert (group_name(23), group_name(29), group_name(30), group_name(4588)) == (
        "secp256r1",
        "x25519",
        "x448",
        "X25519MLKEM768",
    )
    assert (signature_name(0x0403), signature_name(0x0402), signature_name(0x0909)) == (
        "ecdsa_secp256r1_sha256",
        "dsa_sha256",
        "0x0909",
    )
    assert (alert_name(40), alert_name(255)) == ("handshake_failure", "255")
    assert [version_name(number) for number in (0x0304, 0xFEFD, 0x7F1C, 0x0505)] == [
        "TLS 1.3",
        "DTLS 1.2",
        "TLS 1.3 draft 28",
        "0x0505",
    ]


@pytest.mark.parametrize(
    ("suite", "weak"),
    [
        (4865, False),
        (5, True),
        (9, True),
        (25, True),
        (52, True),
        (59, True),
        (53, False),
        (10, False),
        (255, False),
        (61166, False),
    ],
    ids=lambda value: str(value),
)
def test_weak_suites(suite: int, weak: bool) -> None:
    assert is_weak_suite(suite) == weak


def test_suites_agree_with_openssl() -> None:
    try:
        command = ["openssl", "ciphers", "-stdname", "-V", "ALL:COMPLEMENTOFALL"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("openssl is not installed: apt-get install openssl")
    for line in listed:
        number, _, name = line.split()[:3]
        high, low = (int(part, 16) for part in number.split(","))
        assert suite_name(high << 8 | low) == name
