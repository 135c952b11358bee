"""Key schedules against published vectors."""

from __future__ import annotations

from kubeshark.pipeline.tls._schedule import expand_label, extract, master_secret, prf, traffic_key

from .test_protection import CLIENT_KEY, CLIENT_SECRET, SERVER_KEY, SERVER_SECRET


def test_prf_of_tls12() -> None:
    """The P_SHA256 vector of the TLS working group's list (2011)."""
    secret = bytes.fromhex("9bbe436ba940f017b17652849a71db35")
    seed = bytes.fromhex("a0ba9f936cda311827a6f796ffd5198c")
    expected = bytes.fromhex(
        "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af"
        "0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"
        "87347b66"
    )
    assert prf(0x0303, "sha256", secret, b"test label", seed, 100) == expected


def test_prf_before_tls12_mixes_two_hashes() -> None:
    one = prf(0x0301, "sha256", b"secret", b"label", b"seed", 40)
    assert one == prf(0x0302, "sha384", b"secret", b"label", b"seed", 40)
    assert one != prf(0x0303, "sha256", b"secret", b"label", b"seed", 40)


def test_master_secret_is_bound_to_randoms_or_to_the_handshake() -> None:
    plain = master_secret(0x0303, "sha256", b"premaster", bytes(64))
    extended = master_secret(0x0303, "sha256", b"premaster", bytes(64), bytes(32))
    assert len(plain) == len(extended) == 48
    assert plain != extended


def test_extract() -> None:
    """RFC 5869 §A.1."""
    secret = extract("sha256", bytes(range(13)), b"\x0b" * 22)
    assert secret.hex() == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"


def test_traffic_keys() -> None:
    """RFC 8448 §3."""
    assert traffic_key("sha256", SERVER_SECRET, 16) == SERVER_KEY
    assert traffic_key("sha256", CLIENT_SECRET, 16) == CLIENT_KEY
    handshake = bytes.fromhex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
    assert traffic_key("sha256", handshake, 16) == (
        bytes.fromhex("3fce516009c21727d0f2e4e86ee403bc"),
        bytes.fromhex("5d313eb2671276ee13000b30"),
    )


def test_expand_label_of_any_size() -> None:
    assert [len(expand_label("sha384", bytes(48), b"key", size)) for size in (1, 48, 49, 200)] == [1, 48, 49, 200]
