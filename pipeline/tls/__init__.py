"""TLS and DTLS as bytes: records, hellos, fingerprints, certificates, names of numbers."""

from kubeshark.pipeline.tls._certificates import certificate_documents, certificate_warnings
from kubeshark.pipeline.tls._datagrams import begins_dtls, read_datagrams
from kubeshark.pipeline.tls._decrypt import decrypt
from kubeshark.pipeline.tls._documents import (
    alert_document,
    client_document,
    client_fields,
    server_document,
    server_fields,
)
from kubeshark.pipeline.tls._fingerprint import ja4
from kubeshark.pipeline.tls._hello import (
    ClientHello,
    Cursor,
    CutShort,
    ServerHello,
    parse_client_hello,
    parse_server_hello,
)
from kubeshark.pipeline.tls._keylog import KeyLog
from kubeshark.pipeline.tls._names import group_name
from kubeshark.pipeline.tls._records import (
    APPLICATION_DATA,
    CERTIFICATE,
    CLIENT_HELLO,
    RESYNC_BYTES,
    SERVER_HELLO,
    Alert,
    Handshake,
    begins_tls,
    read_flight,
    split_records,
)
from kubeshark.pipeline.tls._schedule import expand_label, extract

__all__ = [
    "APPLICATION_DATA",
    "CERTIFICATE",
    "CLIENT_HELLO",
    "RESYNC_BYTES",
    "SERVER_HELLO",
    "Alert",
    "ClientHello",
    "Cursor",
    "CutShort",
    "Handshake",
    "KeyLog",
    "ServerHello",
    "alert_document",
    "begins_dtls",
    "begins_tls",
    "certificate_documents",
    "certificate_warnings",
    "client_document",
    "client_fields",
    "decrypt",
    "expand_label",
    "extract",
    "group_name",
    "ja4",
    "parse_client_hello",
    "parse_server_hello",
    "read_datagrams",
    "read_flight",
    "server_document",
    "server_fields",
    "split_records",
]
