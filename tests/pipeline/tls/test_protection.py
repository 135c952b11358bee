"""Records opened with known keys; the rest is compared with OpenSSL in test_decrypt."""

from __future__ import annotations

import pytest

from kubeshark.pipeline.tls._protection import Refused, legacy_opener, suite_of, tls13_opener

CLIENT_SECRET = bytes.fromhex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5")
SERVER_SECRET = bytes.fromhex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643")
CLIENT_KEY = bytes.fromhex("17422dda596ed5d9acd890e3c63f5051"), bytes.fromhex("5b78923dee08579033e523d9")
SERVER_KEY = bytes.fromhex("9f02283b6c9c07efc26bb9f2ac92e356"), bytes.fromhex("cf782b88dd83549aadf1e984")
HEADER = bytes.fromhex("1703030043")
CLIENT_RECORD = bytes.fromhex(
    "a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a"
    "6292a2977014bd1e3deae63aeebb21694915e4"
)
SERVER_RECORD = bytes.fromhex(
    "2e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2"
    "e5f0a21c0047c2abf332540dd032e167c2955d"
)


@pytest.mark.parametrize(
    ("key", "record", "sequence"),
    [(CLIENT_KEY, CLIENT_RECORD, 0), (SERVER_KEY, SERVER_RECORD, 1)],
    ids=["client", "server"],
)
def test_records_of_rfc_8448(key: tuple[bytes, bytes], record: bytes, sequence: int) -> None:
    """§3, application data of both sides; the server's follows its NewSessionTicket."""
    suite = suite_of(0x1301)
    assert suite
    opener = tls13_opener(suite, *key)
    assert opener.open(sequence, HEADER, record) == (23, bytes(range(50)))
    for wrong in (sequence + 1, sequence + 2):
        with pytest.raises(Refused):
            opener.open(wrong, HEADER, record)
    with pytest.raises(Refused):
        opener.open(sequence, b"\x17\x03\x02\0\x43", record)
    with pytest.raises(Refused):
        opener.open(sequence, HEADER, record[:10])


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0x1301, ("AES_128_GCM", "aead", 16, "sha256")),
        (0x1302, ("AES_256_GCM", "aead", 32, "sha384")),
        (0x1303, ("CHACHA20_POLY1305", "aead", 32, "sha256")),
        (0x1305, ("AES_128_CCM_8", "aead", 16, "sha256")),
        (0xC02F, ("AES_128_GCM", "aead", 16, "sha256")),
        (0xC09C, ("AES_128_CCM", "aead", 16, "sha256")),
        (0xC0A3, ("AES_256_CCM_8", "aead", 32, "sha256")),
        (0xC024, ("AES_256_CBC", "cbc", 32, "sha384")),
        (0x000A, ("3DES_EDE_CBC", "cbc", 24, "sha256")),
        (0x0005, ("RC4_128", "stream", 16, "sha256")),
        (0x003B, ("NULL", "stream", 0, "sha256")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else f"{value:04x}",
)
def test_suites(number: int, expected: tuple[str, str, int, str]) -> None:
    suite = suite_of(number)
    assert suite
    assert (suite.cipher, suite.kind, suite.key_size, suite.prf_hash) == expected


@pytest.mark.parametrize("number", [0, 0x00FF, 0xC03C, 0xEEEE])
def test_suites_that_cannot_be_opened(number: int) -> None:
    assert suite_of(number) is None


@pytest.mark.parametrize("number", [0xC02F, 0xC09C, 0xCCA8, 0x002F, 0x0005, 0x003B])
@pytest.mark.parametrize("size", [0, 1, 8, 15, 16, 17, 24, 32, 48, 100])
def test_nonsense_is_refused(number: int, size: int) -> None:
    suite = suite_of(number)
    assert suite
    for encrypt_then_mac in (False, True):
        opener = legacy_opener(
            suite, 0x0303, bytes(20), bytes(suite.key_size), bytes(suite.iv_size), encrypt_then_mac=encrypt_then_mac
        )
        with pytest.raises(Refused):
            opener.open(0, b"\x17\x03\x03" + size.to_bytes(2, "big"), bytes(size))
        opener.skip(bytes(size))
