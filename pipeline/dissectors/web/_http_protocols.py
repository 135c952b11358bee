"""HTTP's protocols as entries name them (entries.md §2), and the KFL variables that all of them share.

A message of HTTP/1 or HTTP/2 may be one of gRPC or GraphQL: those are protocols of the same two plugins.
"""

from __future__ import annotations

from dataclasses import replace

from kubeshark.extension_api import Classifier, ProtocolSpec, VariableType
from kubeshark.pipeline.dissectors.web._http2_frames import PREFACE

__all__ = ["GQL1", "GQL2", "GRPC", "GRPC_WEB", "HTTP1", "HTTP2"]

_VARIABLES: dict[str, VariableType] = {
    "method": "string",
    "url": "string",
    "path": "string",
    "path_segments": "list",
    "query_string": "map",
    "status_code": "int",
    "http_version": "string",
    "http_upgrade": "string",
    "ws_subprotocol": "string",
    "host": "string",
    "content_type": "string",
    "es_operation": "string",
    "es_index": "string",
    "request.headers": "map",
    "request.cookies": "map",
    "request_headers_size": "int",
    "request_body_size": "int",
    "request_body": "string",
    "request_body_truncated": "bool",
    "response.headers": "map",
    "response.cookies": "map",
    "response_headers_size": "int",
    "response_body_size": "int",
    "response_body": "string",
    "response_body_truncated": "bool",
    "sse_events": "list",
}
_GRPC: dict[str, VariableType] = {
    "grpc_service": "string",
    "grpc_method": "string",
    "grpc_status": "int",
    "grpc_message": "string",
}
_GQL: dict[str, VariableType] = {"gql_operation": "string", "gql_name": "string"}

HTTP1 = ProtocolSpec(
    name="http",
    abbr="HTTP",
    long_name="Hypertext Transfer Protocol",
    version="1.1",
    ports=(80, 443, 8080),
    priority=0,
    background="#1f6feb",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc9112",
    hands_over=("*",),
    handover_marks=(b"upgrade:", b"connect ", b" 101 "),
    variables=_VARIABLES,
)
HTTP2 = replace(
    HTTP1,
    abbr="HTTP/2",
    long_name="Hypertext Transfer Protocol Version 2",
    version="2",
    macro="http2",
    also=("http",),
    reference="https://www.rfc-editor.org/rfc/rfc9113",
    matcher="key",
    hands_over=("*",),
    classifiers=(Classifier("tcp", prefix=PREFACE, side="client"),),
    handover_marks=(b"connect", b"\xbd\xabn\x9c\x17\xb7\xff"),  # a method is a literal first: plain, or in Huffman code
)
GRPC = replace(
    HTTP2,
    abbr="gRPC",
    long_name="gRPC over HTTP/2",
    macro="grpc",
    also=("http", "http2"),
    ports=(50051,),
    background="#244c5a",
    reference="https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md",
    hands_over=(),
    classifiers=(),
    handover_marks=(),
    variables={**_GRPC, **_VARIABLES},
)
GRPC_WEB = replace(
    GRPC,
    long_name="gRPC-Web over HTTP/1",
    version="1.1",
    also=("http",),
    ports=HTTP1.ports,
    reference="https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md",
    matcher="fifo",
)
GQL1 = replace(
    HTTP1,
    abbr="GQL",
    long_name="GraphQL over HTTP/1",
    macro="gql",
    also=("http", "gqlv1"),
    background="#c2187b",
    reference="https://spec.graphql.org/",
    hands_over=(),
    handover_marks=(),
    variables={**_GQL, **_VARIABLES},
)
GQL2 = replace(
    GQL1,
    long_name="GraphQL over HTTP/2",
    version="2",
    also=("http", "http2", "gqlv2"),
    matcher="key",
)
