"""TLS and DTLS as bytes: records, hellos, fingerprints, certificates, names of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.pipeline.tls._certificates import certificate_documents as certificate_documents
    from kubeshark.pipeline.tls._certificates import certificate_warnings as certificate_warnings
    from kubeshark.pipeline.tls._datagrams import begins_dtls as begins_dtls
    from kubeshark.pipeline.tls._datagrams import read_datagrams as read_datagrams
    from kubeshark.pipeline.tls._decrypt import decrypt as decrypt
    from kubeshark.pipeline.tls._documents import alert_document as alert_document
    from kubeshark.pipeline.tls._documents import client_document as client_document
    from kubeshark.pipeline.tls._documents import client_fields as client_fields
    from kubeshark.pipeline.tls._documents import server_document as server_document
    from kubeshark.pipeline.tls._documents import server_fields as server_fields
    from kubeshark.pipeline.tls._fingerprint import ja4 as ja4
    from kubeshark.pipeline.tls._hello import ClientHello as ClientHello
    from kubeshark.pipeline.tls._hello import Cursor as Cursor
    from kubeshark.pipeline.tls._hello import CutShort as CutShort
    from kubeshark.pipeline.tls._hello import ServerHello as ServerHello
    from kubeshark.pipeline.tls._hello import parse_client_hello as parse_client_hello
    from kubeshark.pipeline.tls._hello import parse_server_hello as parse_server_hello
    from kubeshark.pipeline.tls._keylog import KeyLog as KeyLog
    from kubeshark.pipeline.tls._names import group_name as group_name
    from kubeshark.pipeline.tls._records import APPLICATION_DATA as APPLICATION_DATA
    from kubeshark.pipeline.tls._records import CERTIFICATE as CERTIFICATE
    from kubeshark.pipeline.tls._records import CLIENT_HELLO as CLIENT_HELLO
    from kubeshark.pipeline.tls._records import RESYNC_BYTES as RESYNC_BYTES
    from kubeshark.pipeline.tls._records import SERVER_HELLO as SERVER_HELLO
    from kubeshark.pipeline.tls._records import Alert as Alert
    from kubeshark.pipeline.tls._records import Handshake as Handshake
    from kubeshark.pipeline.tls._records import begins_tls as begins_tls
    from kubeshark.pipeline.tls._records import read_flight as read_flight
    from kubeshark.pipeline.tls._records import split_records as split_records
    from kubeshark.pipeline.tls._schedule import expand_label as expand_label
    from kubeshark.pipeline.tls._schedule import extract as extract

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

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "_certificates": "certificate_documents certificate_warnings",
            "_datagrams": "begins_dtls read_datagrams",
            "_decrypt": "decrypt",
            "_documents": "alert_document client_document client_fields server_document server_fields",
            "_fingerprint": "ja4",
            "_hello": "ClientHello Cursor CutShort ServerHello parse_client_hello parse_server_hello",
            "_keylog": "KeyLog",
            "_names": "group_name",
            "_records": "APPLICATION_DATA CERTIFICATE CLIENT_HELLO RESYNC_BYTES SERVER_HELLO "
            "Alert Handshake begins_tls read_flight split_records",
            "_schedule": "expand_label extract",
        },
    )
