"""The 89 truth cases of the language: each expression on one of nine entries, see conftest.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kubeshark.extension_api._models import FilterSpec
from kubeshark.pipeline.kfl import FilterCall, KflError, compile_filter

MATCH, NO_MATCH, REFUSED, ERROR = "match", "no match", "refused", "error"

CASES = [
    (1, "A", "", MATCH),  # empty filter matches all
    (2, "A", "http", MATCH),
    (3, "B", "http", NO_MATCH),
    (4, "A", "http && status_code >= 500", MATCH),
    (5, "A", "http && status_code >= 400 && status_code < 500", NO_MATCH),
    (6, "A", 'method == "GET" && path == "/api/users"', MATCH),
    (7, "A", 'method == "get"', NO_MATCH),  # string comparison is case sensitive
    (8, "A", 'url.contains("id=7")', MATCH),
    (9, "A", 'path.startsWith("/api") && path.endsWith("users")', MATCH),
    (10, "A", 'path.matches("^/api/[a-z]+$")', MATCH),
    (11, "A", 'path.matches("users")', MATCH),  # unanchored search
    (12, "A", "size(path) == 10", MATCH),
    (13, "A", "elapsed_time > 5000000", MATCH),  # µs: 6.2 s
    (14, "B", "elapsed_time > 5000", NO_MATCH),  # 0.85 ms
    (15, "A", "dst.port == 8080", MATCH),
    (16, "A", "dst.port in [80, 443, 8080]", MATCH),
    (17, "B", "dst.port >= 8000 && dst.port <= 9000", NO_MATCH),
    (18, "A", 'src.ip == "10.1.2.3"', MATCH),
    (19, "D", 'src.ip.startsWith("10.")', NO_MATCH),
    (20, "A", 'src.ip.inCidr("10.0.0.0/8")', MATCH),
    (21, "C", 'dst.ip.inCidr("10.0.0.0/8")', NO_MATCH),
    (22, "D", 'dst.ip.inCidr("fd00::/8")', MATCH),
    (23, "D", 'src.ip.inCidr("10.0.0.0/8")', NO_MATCH),  # address families never mix
    (24, "A", 'dst.pod.namespace == "production"', MATCH),
    (25, "B", 'dst.pod.namespace == "kube-system"', MATCH),  # pod falls back to service
    (26, "A", '"production" in namespaces', MATCH),
    (27, "A", "src.service.namespace != dst.service.namespace", MATCH),
    (28, "A", 'map_get(local_labels, "app", "") == "checkout"', MATCH),
    (29, "A", 'map_get(local_labels, "tier", "none") == "none"', MATCH),
    (30, "A", '"tier" in local_labels', NO_MATCH),
    (31, "A", 'local_labels["tier"] == "x"', ERROR),  # missing key is an evaluation error
    (32, "A", 'local_labels["tier"] == "x" || http', MATCH),  # error absorbed by a true disjunct
    (33, "A", '!("tier" in local_labels) || local_labels["tier"] == "x"', MATCH),
    (34, "A", '"content-type" in request.headers', MATCH),
    (35, "A", 'request.headers["host"] == "users.production"', MATCH),
    (36, "A", 'query_string["id"] == "7"', MATCH),
    (37, "A", 'request.cookies["sid"] == "s1"', MATCH),
    (38, "B", 'dns && "api.example.test" in dns_questions', MATCH),
    (39, "B", 'dns_questions.exists(q, q.endsWith(".test"))', MATCH),
    (40, "B", 'dns_questions.all(q, q.contains("example"))', MATCH),
    (41, "B", "dns && dns_response && status_code != 0", MATCH),  # rcode 3 = NXDOMAIN
    (42, "B", "size(dns_answers) == 0", MATCH),
    (43, "B", '"A" in dns_question_types', MATCH),
    (44, "B", "udp", NO_MATCH),  # flag of raw UDP entries only
    (45, "B", 'transport == "udp"', MATCH),
    (46, "C", 'tlsx && tlsx_sni.contains("example")', MATCH),
    (47, "C", "tls", NO_MATCH),  # `tls` = decrypted, not TLS
    (48, "C", 'tlsx_cipher_suites.exists(s, s.contains("RC4"))', MATCH),
    (49, "C", "tlsx_version < 772", MATCH),  # 0x0303 = TLS 1.2
    (50, "C", 'dst.dns != "" && !dst.dns.endsWith(".internal")', MATCH),
    (51, "D", 'redis && redis_type == "GET" && redis_key.startsWith("session:")', MATCH),
    (52, "E", "postgresql && !postgresql_success", MATCH),
    (53, "E", 'postgresql_error_code == "23505"', MATCH),
    (54, "E", "postgresql_error_code == 23505", REFUSED),  # string against int
    (55, "F", 'conn && conn_state == "open" && conn_local_bytes > 1000000', MATCH),
    (56, "F", 'tcp_conn && "HTTP" in conn_l7_detected', MATCH),
    (57, "F", "flow", NO_MATCH),
    (58, "G", 'grpc && grpc_status != 0 && grpc_method == "SayHello"', MATCH),
    (59, "A", "grpc_status == -1", MATCH),  # -1 when not gRPC
    (60, "G", 'http && http_version == "HTTP/2"', MATCH),
    (61, "H", "error", MATCH),
    (62, "H", 'error_type == "pair-not-found"', MATCH),
    (63, "H", "http && status_code == 0", MATCH),  # no response: default 0
    (64, "H", 'request_body.contains("4111")', MATCH),
    (65, "H", 'request_body.json("amount") == 9', MATCH),
    (66, "A", 'response_body.json("error.code") == "E42"', MATCH),
    (67, "A", 'response_body.json("error.tags[1]") == "slow"', MATCH),
    (68, "A", 'response_body.json("error.nope") == null', MATCH),
    (69, "A", 'response_body.json("n") > 2', MATCH),
    (70, "A", 'request_body.json("a") == null', MATCH),  # empty body is not JSON: null
    (71, "I", 'mqtt && mqtt_topic.startsWith("plant/") && mqtt_qos > 0', MATCH),
    (72, "A", 'timestamp > timestamp("2026-03-14T22:00:00Z")', MATCH),
    (73, "A", 'timestamp > now() - duration("5m")', MATCH),  # now = 22:05:00Z
    (74, "A", 'timestamp > now() - duration("90s")', NO_MATCH),
    (75, "A", "timestamp.getMinutes() == 3", MATCH),
    (76, "A", "http && is_bot()", NO_MATCH),  # plugin filter
    (77, "A", 'status_code == 200 ? method == "POST" : method == "GET"', MATCH),
    (78, "A", "(request_body_size + response_body_size) / 2 > 25", NO_MATCH),  # integer division
    (79, "A", "status_code % 100 == 0", MATCH),
    (80, "A", "http || dns && status_code == 3", MATCH),  # && binds tighter
    (81, "A", "(http || dns) && status_code == 3", NO_MATCH),
    (82, "A", "1 / (status_code - 500) > 0", ERROR),  # division by zero
    (83, "A", 'http && 1 / (status_code - 500) > 0 || method == "GET"', MATCH),
    (84, "A", 'status_code == "500"', REFUSED),  # int against string
    (85, "A", "nope == 1", REFUSED),  # unknown variable
    (86, "A", "http &&", REFUSED),  # syntax
    (87, "A", "status_code", REFUSED),  # result must be bool
    (88, "A", "has(src.pod)", MATCH),
    (89, "A", 'path.matches("(")', REFUSED),  # bad literal regex
]


@pytest.mark.parametrize(("number", "entry", "text", "expected"), CASES, ids=[f"{case[0]}-{case[2]}" for case in CASES])
def test_truth(
    number: int, entry: str, text: str, expected: str, rows: Mapping[str, Mapping[str, Any]], now_ns: int
) -> None:
    del number
    plugins = {"is_bot": FilterSpec("is_bot")}
    if expected == REFUSED:
        with pytest.raises(KflError) as raised:
            compile_filter(text, now_ns=now_ns, plugins=plugins)
        assert raised.value.line == 1
        assert raised.value.column >= 1
        assert "\n" not in str(raised.value)
        return
    compiled = compile_filter(text, now_ns=now_ns, plugins=plugins)
    assert compiled.matches(rows[entry], {FilterCall("is_bot", ()): False}) is (expected == MATCH)
    assert compiled.errors.count == (expected == ERROR)
    assert bool(compiled.errors.first) is (expected == ERROR)
