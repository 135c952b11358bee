"""The nine entries of the truth cases, and a row that gives defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kubeshark.pipeline.kfl import VARIABLES

SECOND = 10**9
NOW_NS = 1_773_525_900 * SECOND  # 2026-03-14T22:05:00Z


class Row(dict[str, Any]):
    """An entry's variables: what it lacks has its type's default."""

    def __missing__(self, name: str) -> Any:
        return VARIABLES[name].default


def row(**values: Any) -> Row:
    """`src__ip="…"` sets src.ip; every entry has a timestamp."""
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Row({"timestamp": NOW_NS - 120 * SECOND, **named})


@pytest.fixture(scope="session")
def now_ns() -> int:
    return NOW_NS


@pytest.fixture(scope="session")
def make_row() -> Callable[..., Row]:
    return row


@pytest.fixture(scope="session")
def rows() -> Mapping[str, Row]:
    return {
        "A": row(
            http=True,
            protocol="HTTP",
            transport="tcp",
            capture_source="af_packet",
            method="GET",
            url="/api/users?id=7",
            path="/api/users",
            path_segments=["api", "users"],
            query_string={"id": "7"},
            http_version="HTTP/1.1",
            status_code=500,
            elapsed_time=6_200_000,
            src__ip="10.1.2.3",
            src__port=43210,
            src__pod__name="web-1",
            src__pod__namespace="shop",
            src__namespace="shop",
            src__service__name="web",
            src__service__namespace="shop",
            dst__ip="10.9.0.8",
            dst__port=8080,
            dst__pod__name="users-5",
            dst__pod__namespace="production",
            dst__namespace="production",
            dst__service__name="users",
            dst__service__namespace="production",
            namespaces=["shop", "production"],
            request__headers={"host": "users.production", "content-type": "application/json"},
            request__cookies={"sid": "s1"},
            response_body='{"error":{"code":"E42","tags":["db","slow"]},"n":3}',
            response_body_size=51,
            local_labels={"app": "checkout"},
            local_process_name="nginx",
        ),
        "B": row(
            dns=True,
            protocol="DNS",
            transport="udp",
            elapsed_time=850,
            dns_questions=["api.example.test"],
            dns_question_types=["A"],
            dns_request=True,
            dns_response=True,
            status_code=3,
            src__ip="10.1.2.3",
            src__port=33305,
            src__pod__namespace="shop",
            dst__ip="10.96.0.10",
            dst__port=53,
            dst__service__name="kube-dns",
            dst__service__namespace="kube-system",
            dst__pod__namespace="kube-system",
        ),
        "C": row(
            tlsx=True,
            protocol="TLS",
            transport="tcp",
            tlsx_info="ServerHello",
            tlsx_sni="db.example.test",
            tlsx_alpn="h2",
            tlsx_version=771,
            tlsx_cipher_suite=4865,
            tlsx_cipher_suites=["TLS_AES_128_GCM_SHA256", "TLS_RSA_WITH_RC4_128_SHA"],
            dst__ip="203.0.113.9",
            dst__port=443,
            dst__dns="db.example.test",
        ),
        "D": row(
            redis=True,
            protocol="REDIS",
            transport="tcp",
            redis_type="GET",
            redis_command="GET session:1",
            redis_key="session:1",
            src__ip="fd00::1",
            dst__ip="fd00::6",
            dst__port=6379,
        ),
        "E": row(postgresql=True, protocol="POSTGRESQL", postgresql_command="INSERT", postgresql_error_code="23505"),
        "F": row(
            conn=True, tcp_conn=True, conn_state="open", conn_local_bytes=2_000_000, conn_l7_detected=["HTTP", "TLS"]
        ),
        "G": row(
            grpc=True,
            http=True,
            http2=True,
            protocol="GRPC",
            method="POST",
            path="/demo.Greeter/SayHello",
            grpc_service="demo.Greeter",
            grpc_method="SayHello",
            grpc_status=5,
            http_version="HTTP/2",
            status_code=200,
        ),
        "H": row(
            http=True,
            protocol="HTTP",
            method="POST",
            path="/pay",
            request_body='{"card":"4111","amount":9}',
            error=True,
            error_type="pair-not-found",
        ),
        "I": row(
            mqtt=True, protocol="MQTT", mqtt_type="PUBLISH", mqtt_topic="plant/3/temp", mqtt_qos=1, mqtt_retain=True
        ),
    }
