"""Every KFL variable: its type, its default, and whether reading it needs the whole entry.

The one table behind type-checking, `--fields`, completion in the UI and the defaults an entry's mapping gives for what
it lacks. Names and meanings are Kubeshark's, with our additions (reference: kfl.md §2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct

from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.extension_api._models import Value, VariableType

__all__ = ["FLAGS", "FOLDED_MAPS", "RESERVED_WORDS", "VARIABLES", "Variable", "Variables", "default_of"]

_RESERVED = (
    "as break const continue else for function if import in let loop package namespace return var void while"
    " true false null"
)
RESERVED_WORDS = frozenset(_RESERVED.split())
"""Words CEL keeps for itself."""

_NAME = re.compile(r"(?=.{1,80}\Z)[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)

_DEFAULTS: Mapping[VariableType, Value] = MappingProxyType(
    {"string": "", "int": 0, "double": 0.0, "bool": False, "bytes": b"", "timestamp": 0, "list": [], "map": {}}
)


def default_of(kind: VariableType) -> Value:
    """Return what a variable of this type is where an entry lacks it; lists and maps are new each time."""
    value = _DEFAULTS[kind]
    return value.copy() if isinstance(value, (list, dict)) else value


class Variable(Struct, frozen=True):
    name: str
    type: VariableType
    section: str  # heading of the reference, or the plugin protocol
    is_heavy: bool = False  # needs headers, bodies or payload: the full entry is built

    @property
    def default(self) -> Value:
        if self.name == "grpc_status":
            return -1  # "not gRPC"; 0 is a gRPC success
        return default_of(self.type)


class Variables(Mapping[str, Variable]):
    """An immutable set of variables by name; hashable, so that checkers built from it can be kept."""

    def __init__(self, variables: tuple[Variable, ...]) -> None:
        self._by_name = {variable.name: variable for variable in variables}
        self._hash: int | None = None

    def __getitem__(self, name: str) -> Variable:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._by_name.values()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Variables) and self._by_name == other._by_name

    @property
    def roots(self) -> frozenset[str]:
        """First parts of all names: `src` of `src.ip`."""
        return frozenset(name.partition(".")[0] for name in self._by_name)

    def below(self, prefix: str) -> list[Variable]:
        """Return the variables whose names begin with `prefix` and a dot."""
        return [variable for name, variable in self._by_name.items() if name.startswith(prefix + ".")]

    def with_plugin(self, name: str, kind: VariableType, *, section: str = "plugin") -> Variables:
        """Return this set and one more variable. Raise UsageError for a bad name, or one taken with another type."""
        if not _NAME.fullmatch(name) or name in RESERVED_WORDS:
            raise UsageError(f"KFL variable {name[:80]!r} is not a name: letters, digits, _ and dots between them")
        known = self._by_name.get(name)
        if known is not None:
            if known.type == kind:
                return self
            raise UsageError(f"KFL variable {name} is {known.type}: a plugin cannot declare it as {kind}")
        if kind not in _DEFAULTS:
            raise UsageError(f"KFL variable {name} has unknown type {kind}")
        more = Variables(())
        more._by_name = {**self._by_name, name: Variable(name, kind, section)}  # copied whole: plugins add a hundred
        return more


def _section(section: str, heavy: str = "", /, **names: str) -> Iterator[Variable]:
    """Declare variables, names by type: `bool="http ws"`. A dot is written as it is; `heavy` lists the heavy ones."""
    heavy_names = frozenset(heavy.split())
    for kind, listed in names.items():
        for name in listed.split():
            yield Variable(name, kind, section, name in heavy_names)  # type: ignore[arg-type]  # keys are VariableType


def _sizes(*protocols: str, noun: str = "size") -> str:
    return " ".join(f"{name}_request_{noun} {name}_response_{noun} {name}_total_size" for name in protocols)


def _halves(*protocols: str) -> str:
    return " ".join(f"{name}_request {name}_response" for name in protocols)


def _ends(*names: str) -> str:
    return " ".join(f"{end}.{name}" for end in ("src", "dst") for name in names)


_BUILT_IN: tuple[Variable, ...] = (
    *_section(
        "entry",
        string=f"{_ends('ip')} protocol transport id stream worker node_id capture_source capture_backend"
        " error_type error_message file tunnel",
        int=f"{_ends('port')} elapsed_time index conn_id flow_id capture_source_code vlan_id",
        timestamp="timestamp",
        bool="has_pcap error",
        map="capture",
        list="tags nodes",
    ),
    *_section(
        "flags",
        bool="http http2 ws gql gqlv1 gqlv2 grpc dns tls tlsx redis kafka amqp mongodb mysql postgresql ldap radius"
        " diameter tcp udp sctp icmp conn flow tcp_conn udp_conn tcp_flow udp_flow"
        " mqtt nats memcached cassandra smtp sip quic",
    ),
    *_section(
        "kubernetes",
        string=_ends("pod.name", "pod.namespace", "service.name", "service.namespace", "name", "namespace", "dns")
        + " node_name node_ip local_node_name remote_node_name local_process_name remote_process_name"
        " local_resolution_status remote_resolution_status",
        list="namespaces pods services dns_resolutions",
        map="local_labels remote_labels local_annotations remote_annotations node",
    ),
    *_section(
        "http",
        "query_string request.headers response.headers request.cookies response.cookies request_body response_body"
        " request_body_truncated response_body_truncated ws_request_payload_data sse_events",
        string="method url path http_version host content_type request_body response_body grpc_service grpc_method"
        " gql_operation gql_name ws_opcode ws_request_payload_data",
        int="status_code request_headers_size request_body_size response_headers_size response_body_size grpc_status"
        " ws_request_payload_length ws_response_payload_length",
        bool="request_body_truncated response_body_truncated ws_request ws_response",
        list="path_segments sse_events",
        map="query_string request.headers response.headers request.cookies response.cookies",
    ),
    *_section(
        "dns",
        string="dns_rcode dns_opcode",
        list="dns_questions dns_question_types dns_answers dns_answer_names",
        bool="dns_request dns_response",
        int="dns_request_length dns_response_length dns_total_size",
    ),
    *_section(
        "tls",
        string="tlsx_sni tlsx_alpn tlsx_summary tlsx_info tlsx_ja3 tlsx_ja3s tlsx_ja4 tls_summary tls_info",
        int="tlsx_version tlsx_cipher_suite tls_request_size tls_response_size tls_total_size",
        list="tlsx_cipher_suites",
        bool="tlsx_weak",
    ),
    *_section(
        "transport",
        "tcp_payload udp_payload tcp_payload_text udp_payload_text",
        string="tcp_method tcp_error_type tcp_error_message tcp_payload_text udp_payload_text"
        " sctp_chunk_type icmp_type",
        bytes="tcp_payload udp_payload",
        int="udp_length udp_checksum sctp_checksum sctp_length icmp_version icmp_length"
        " tcp_retransmissions tcp_out_of_order tcp_gaps tcp_rtt_us",
    ),
    *_section(
        "conn",
        string="conn_state flow_state",
        int="conn_local_pkts conn_local_bytes conn_remote_pkts conn_remote_bytes conn_group_id"
        " flow_local_pkts flow_local_bytes flow_remote_pkts flow_remote_bytes flow_group_id"
        " flow_local_pps flow_local_bps flow_remote_pps flow_remote_bps",
        list="conn_l7_detected flow_l7_detected",
    ),
    *_section("redis", string="redis_type redis_command redis_key", int=_sizes("redis")),
    *_section(
        "kafka",
        string="kafka_api_key_name kafka_client_id kafka_request_summary",
        int=f"kafka_api_key kafka_size kafka_error_code {_sizes('kafka')}",
        bool=_halves("kafka"),
        list="kafka_topics",
    ),
    *_section(
        "amqp",
        string="amqp_method amqp_summary amqp_exchange amqp_routing_key amqp_queue",
        int=_sizes("amqp", noun="length"),
        bool=_halves("amqp"),
    ),
    *_section(
        "mongodb",
        string="mongodb_command mongodb_database mongodb_collection mongodb_opcode mongodb_error_message"
        " mongodb_error_code_name",
        int=f"mongodb_error_code {_sizes('mongodb')}",
        bool="mongodb_success",
    ),
    *_section(
        "mysql",
        string="mysql_command mysql_query mysql_database mysql_error_message",
        int=f"mysql_statement_id mysql_error_code {_sizes('mysql')}",
        bool="mysql_success",
    ),
    *_section(
        "postgresql",
        string="postgresql_command postgresql_query postgresql_database postgresql_user postgresql_error_code"
        " postgresql_error_message",
        int=_sizes("postgresql"),
        bool="postgresql_success",
    ),
    *_section(
        "ldap",
        string="ldap_type ldap_summary ldap_dn",
        int=f"ldap_result {_sizes('ldap', noun='length')}",
        bool=_halves("ldap"),
    ),
    *_section(
        "radius",
        string="radius_code_name radius_request_authenticator radius_username",
        int=f"radius_code {_sizes('radius', noun='length')}",
        bool=_halves("radius"),
    ),
    *_section(
        "diameter",
        string="diameter_method diameter_summary",
        int="diameter_command_code diameter_application_id diameter_result_code " + _sizes("diameter", noun="length"),
        bool=_halves("diameter"),
    ),
    *_section(
        "mqtt",
        string="mqtt_type mqtt_topic mqtt_client_id",
        int=f"mqtt_qos mqtt_version mqtt_reason_code {_sizes('mqtt')}",
        bool=f"mqtt_retain {_halves('mqtt')}",
    ),
    *_section(
        "nats",
        string="nats_type nats_subject nats_reply_to nats_queue_group nats_error_message",
        int=_sizes("nats"),
    ),
    *_section(
        "memcached",
        string="memcached_command memcached_key memcached_status",
        int=_sizes("memcached"),
        bool=f"memcached_success {_halves('memcached')}",
    ),
    *_section(
        "cassandra",
        string="cassandra_opcode cassandra_query cassandra_keyspace cassandra_error_message",
        int=f"cassandra_stream_id cassandra_error_code {_sizes('cassandra')}",
        bool=f"cassandra_success {_halves('cassandra')}",
    ),
    *_section(
        "smtp",
        string="smtp_command smtp_argument smtp_mail_from smtp_subject",
        int=f"smtp_status {_sizes('smtp')}",
        list="smtp_rcpt_to",
        bool=_halves("smtp"),
    ),
    *_section(
        "sip",
        string="sip_method sip_uri sip_from sip_to sip_call_id sip_reason",
        int=f"sip_status {_sizes('sip')}",
        bool=_halves("sip"),
    ),
    *_section(
        "quic",
        string="quic_sni quic_alpn quic_dcid quic_ja4 quic_info",
        int=f"quic_version {_sizes('quic')}",
    ),
)

VARIABLES = Variables(_BUILT_IN)
"""The built-in variables; plugins add theirs with `with_plugin`."""

FLAGS = frozenset(variable.name for variable in _BUILT_IN if variable.section == "flags")

FOLDED_MAPS = frozenset({"request.headers", "response.headers"})
"""Maps with lower-case keys; a literal key is folded before it is looked up (rule 6)."""
