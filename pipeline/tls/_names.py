"""Names of TLS numbers other than cipher suites (IANA "TLS Parameters" and "TLS Extensions" registries)."""

from __future__ import annotations

from kubeshark.pipeline.tls._suites import SUITES

__all__ = [
    "ALERTS",
    "alert_name",
    "extension_name",
    "group_name",
    "is_grease",
    "is_weak_suite",
    "signature_name",
    "suite_name",
    "version_name",
]

VERSIONS = {
    0x0002: "SSL 2.0",
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    0x0303: "TLS 1.2",
    0x0304: "TLS 1.3",
    0x0100: "DTLS 1.0 (OpenSSL pre 0.9.8f)",
    0xFEFF: "DTLS 1.0",
    0xFEFD: "DTLS 1.2",
    0xFEFC: "DTLS 1.3",
}

EXTENSIONS = {
    0: "server_name",
    1: "max_fragment_length",
    2: "client_certificate_url",
    3: "trusted_ca_keys",
    4: "truncated_hmac",
    5: "status_request",
    6: "user_mapping",
    7: "client_authz",
    8: "server_authz",
    9: "cert_type",
    10: "supported_groups",
    11: "ec_point_formats",
    12: "srp",
    13: "signature_algorithms",
    14: "use_srtp",
    15: "heartbeat",
    16: "application_layer_protocol_negotiation",
    17: "status_request_v2",
    18: "signed_certificate_timestamp",
    19: "client_certificate_type",
    20: "server_certificate_type",
    21: "padding",
    22: "encrypt_then_mac",
    23: "extended_master_secret",
    24: "token_binding",
    25: "cached_info",
    27: "compress_certificate",
    28: "record_size_limit",
    34: "delegated_credential",
    35: "session_ticket",
    41: "pre_shared_key",
    42: "early_data",
    43: "supported_versions",
    44: "cookie",
    45: "psk_key_exchange_modes",
    47: "certificate_authorities",
    48: "oid_filters",
    49: "post_handshake_auth",
    50: "signature_algorithms_cert",
    51: "key_share",
    52: "transparency_info",
    54: "connection_id",
    55: "external_id_hash",
    56: "external_session_id",
    57: "quic_transport_parameters",
    58: "ticket_request",
    59: "dnssec_chain",
    13172: "next_protocol_negotiation",
    17513: "application_settings",
    17613: "application_settings",
    30032: "channel_id",
    64768: "ech_outer_extensions",
    65037: "encrypted_client_hello",
    65281: "renegotiation_info",
    65445: "quic_transport_parameters",  # of drafts up to 32
    65486: "encrypted_server_name",
}

CURVES = """
sect163k1 sect163r1 sect163r2 sect193r1 sect193r2 sect233k1 sect233r1 sect239k1 sect283k1 sect283r1
sect409k1 sect409r1 sect571k1 sect571r1 secp160k1 secp160r1 secp160r2 secp192k1 secp192r1 secp224k1
secp224r1 secp256k1 secp256r1 secp384r1 secp521r1 brainpoolP256r1 brainpoolP384r1 brainpoolP512r1
x25519 x448 brainpoolP256r1tls13 brainpoolP384r1tls13 brainpoolP512r1tls13
"""
"""Groups from 1 on, in order."""

GROUPS = {
    **dict(enumerate(CURVES.split(), 1)),
    41: "curveSM2",
    256: "ffdhe2048",
    257: "ffdhe3072",
    258: "ffdhe4096",
    259: "ffdhe6144",
    260: "ffdhe8192",
    512: "MLKEM512",
    513: "MLKEM768",
    514: "MLKEM1024",
    4587: "SecP256r1MLKEM768",
    4588: "X25519MLKEM768",
    4589: "SecP384r1MLKEM1024",
    16696: "CECPQ2",
    25497: "X25519Kyber768Draft00",
    25498: "SecP256r1Kyber768Draft00",
    65281: "arbitrary_explicit_prime_curves",
    65282: "arbitrary_explicit_char2_curves",
}

SIGNATURES = {
    0x0201: "rsa_pkcs1_sha1",
    0x0203: "ecdsa_sha1",
    0x0401: "rsa_pkcs1_sha256",
    0x0403: "ecdsa_secp256r1_sha256",
    0x0420: "rsa_pkcs1_sha256_legacy",
    0x0501: "rsa_pkcs1_sha384",
    0x0503: "ecdsa_secp384r1_sha384",
    0x0520: "rsa_pkcs1_sha384_legacy",
    0x0601: "rsa_pkcs1_sha512",
    0x0603: "ecdsa_secp521r1_sha512",
    0x0620: "rsa_pkcs1_sha512_legacy",
    0x0708: "sm2sig_sm3",
    0x0804: "rsa_pss_rsae_sha256",
    0x0805: "rsa_pss_rsae_sha384",
    0x0806: "rsa_pss_rsae_sha512",
    0x0807: "ed25519",
    0x0808: "ed448",
    0x0809: "rsa_pss_pss_sha256",
    0x080A: "rsa_pss_pss_sha384",
    0x080B: "rsa_pss_pss_sha512",
    0x081A: "ecdsa_brainpoolP256r1tls13_sha256",
    0x081B: "ecdsa_brainpoolP384r1tls13_sha384",
    0x081C: "ecdsa_brainpoolP512r1tls13_sha512",
    0x0904: "mldsa44",
    0x0905: "mldsa65",
    0x0906: "mldsa87",
}
HASHES = {1: "md5", 2: "sha1", 3: "sha224", 4: "sha256", 5: "sha384", 6: "sha512"}
SIGNERS = {0: "anonymous", 1: "rsa", 2: "dsa", 3: "ecdsa"}
"""TLS 1.2 names a hash and a signer apart (RFC 5246 §7.4.1.4.1)."""

ALERTS = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",
    22: "record_overflow",
    30: "decompression_failure",
    40: "handshake_failure",
    41: "no_certificate",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    52: "too_many_cids_requested",
    60: "export_restriction",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    111: "certificate_unobtainable",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    114: "bad_certificate_hash_value",
    115: "unknown_psk_identity",
    116: "certificate_required",
    117: "general_error",
    120: "no_application_protocol",
    121: "ech_required",
}

WEAK_PARTS = ("_RC4_", "_DES_", "_DES40_", "_RC2_", "_NULL_", "_EXPORT", "_anon_")


def is_grease(number: int) -> bool:
    """Say whether a number is one of those that mean nothing on purpose (RFC 8701 §2): 0x0A0A, 0x1A1A … 0xFAFA."""
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


def suite_name(suite: int) -> str:
    return _named(SUITES, suite)


def is_weak_suite(suite: int) -> bool:
    """RC4, DES, RC2, NULL, export grade or anonymous."""
    name = SUITES.get(suite, "")
    return name != "TLS_EMPTY_RENEGOTIATION_INFO_SCSV" and any(part in name for part in WEAK_PARTS)


def extension_name(extension: int) -> str:
    return _named(EXTENSIONS, extension)


def group_name(group: int) -> str:
    return _named(GROUPS, group)


def signature_name(scheme: int) -> str:
    if scheme in SIGNATURES or is_grease(scheme):
        return _named(SIGNATURES, scheme)
    hashed, signer = HASHES.get(scheme >> 8), SIGNERS.get(scheme & 0xFF)
    return f"{signer}_{hashed}" if hashed and signer else f"0x{scheme:04x}"


def alert_name(description: int) -> str:
    return ALERTS.get(description, str(description))


def version_name(version: int) -> str:
    if version >> 8 == 0x7F:
        return f"TLS 1.3 draft {version & 0xFF}"
    return _named(VERSIONS, version)


def _named(names: dict[int, str], number: int) -> str:
    return names.get(number) or ("GREASE" if is_grease(number) else f"0x{number:04x}")
