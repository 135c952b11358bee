"""TLS and QUIC handshakes."""
