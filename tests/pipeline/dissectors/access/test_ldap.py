"""LDAP streams in, messages out; bytes made by hand from RFC 4511."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.access import ldap
from kubeshark.pipeline.dissectors.access._ber import BadBer, element
from kubeshark.pipeline.dissectors.access._ldap_filter import escaped, filter_text
from kubeshark.pipeline.dissectors.access._ldap_names import PASSWORD_MODIFY, START_TLS

from .._streams import FakeStream, tcp, udp


def tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes([tag]) + size + body


def number(value: int, tag: int = 2) -> bytes:
    return tlv(tag, bytes([value]))


def octets(value: bytes, tag: int = 4) -> bytes:
    return tlv(tag, value)


def message(identity: int, operation: bytes, controls: bytes = b"") -> bytes:
    return tlv(0x30, number(identity), operation, controls)


def result(tag: int, code: int, *rest: bytes, dn: bytes = b"", text: bytes = b"") -> bytes:
    return tlv(tag, number(code, 10), octets(dn), octets(text), *rest)


def attribute(name: bytes, *values: bytes) -> bytes:
    return tlv(0x30, octets(name), tlv(0x31, *map(octets, values)))


DN = b"uid=ada,dc=example"
SIMPLE_BIND = tlv(0x60, number(3), octets(DN), octets(b"hunter2", 0x80))
FILTER = tlv(0xA0, tlv(0xA3, octets(b"uid"), octets(b"a*")), tlv(0x87, b"cn"))
SEARCH = tlv(
    0x63, octets(b"dc=example"), number(2, 10), number(0, 10), number(0), number(0), tlv(1, b"\0"), FILTER,
    tlv(0x30, octets(b"cn"), octets(b"mail")),
)  # fmt: skip
ENTRY = tlv(0x64, octets(DN), tlv(0x30, attribute(b"cn", b"Ada"), attribute(b"userPassword", b"{SSHA}x")))
DONE = result(0x65, 0)
TLS = b"\x16\x03\x01\0\x05hello"


def found_in(stream: FakeStream) -> list[Message]:
    return [found for found in ldap.dissect(ldap.LDAP, [stream])[0] if isinstance(found, Message)]


def is_mine(stream: FakeStream) -> bool:
    return ldap.probe(ldap.LDAP, [stream]) == [Verdict.MINE]


def document(found: Message) -> dict[str, Any]:
    assert found.detail
    return dict(found.detail()[1])


def test_bind_never_shows_the_password() -> None:
    request, response = found_in(tcp(message(1, SIMPLE_BIND), message(1, result(0x61, 49, text=b"no")), port=389))
    assert request.fields == {
        "ldap_type": "bind",
        "ldap_message_id": 1,
        "ldap_request": True,
        "ldap_request_length": request.end,
        "ldap_dn": DN.decode(),
        "ldap_summary": f"simple {DN.decode()}",
    }
    shown = document(request)
    assert (shown["authentication"], shown["credentials"], shown["version"]) == ("simple", "[redacted]", 3)
    assert "hunter2" not in str(shown)
    assert (request.key, response.key, response.fields["ldap_result"]) == ("1", "1", 49)
    assert response.fields["ldap_result_name"] == "invalidCredentials"
    assert document(response)["message"] == "no"


def test_sasl_bind_shows_the_mechanism() -> None:
    bind = tlv(0x60, number(3), octets(b""), tlv(0xA3, octets(b"GSSAPI"), octets(b"secret")))
    answer = result(0x61, 14, tlv(0x87, b"challenge"))
    request, response = found_in(tcp(message(1, bind), message(1, answer), port=389))
    assert request.fields["ldap_summary"] == "SASL GSSAPI"
    assert (document(request)["authentication"], document(request)["mechanism"]) == ("sasl", "GSSAPI")
    assert document(response)["serverCredentials"] == "[redacted]"


def test_search_gathers_its_entries() -> None:
    reference = tlv(0x73, octets(b"ldap://other/"))
    answers = [message(7, ENTRY), message(7, reference), message(7, ENTRY), message(7, DONE)]
    request, response = found_in(tcp(message(7, SEARCH), b"".join(answers), port=389))
    assert (request.fields["ldap_scope"], request.fields["ldap_filter"]) == ("sub", r"(&(uid=a\2a)(cn=*))")
    assert document(request)["attributes"] == ["cn", "mail"]
    assert (response.start, response.end) == (0, len(b"".join(answers)))
    assert (response.fields["ldap_entries"], response.fields["ldap_result"]) == (2, 0)
    shown = document(response)
    assert shown["entries"][0] == {
        "dn": DN.decode(),
        "attributes": {"cn": ["Ada"], "userPassword": ["[redacted]"]},
    }
    assert (shown["referrals"], shown["entryCount"], shown["resultCode"]) == (["ldap://other/"], 2, 0)


def test_interleaved_searches() -> None:
    answers = message(1, ENTRY) + message(2, ENTRY) + message(2, DONE) + message(1, ENTRY) + message(1, DONE)
    second, first = found_in(tcp(b"", answers, port=389))
    assert [(found.key, found.fields["ldap_entries"]) for found in (first, second)] == [("1", 2), ("2", 1)]


def test_a_search_without_its_result() -> None:
    (response,) = found_in(tcp(b"", message(3, ENTRY), port=389))
    assert response.error == "truncated: the search's result was not captured"
    assert document(response)["entries"]


OPERATIONS = {
    "modify": (
        tlv(0x66, octets(DN), tlv(0x30, tlv(0x30, number(2, 10), attribute(b"userPassword", b"new")))),
        {"changes": [{"operation": "replace", "type": "userPassword", "values": ["[redacted]"]}]},
    ),
    "add": (
        tlv(0x68, octets(DN), tlv(0x30, attribute(b"cn", b"Ada", b"\xff"))),
        {"values": [{"type": "cn", "values": ["Ada", "base64:/w=="]}]},
    ),
    "delete": (tlv(0x4A, DN), {"dn": DN.decode()}),
    "modifyDN": (
        tlv(0x6C, octets(DN), octets(b"uid=bob"), tlv(1, b"\xff"), octets(b"dc=new", 0x80)),
        {"newRdn": "uid=bob", "deleteOldRdn": True, "newSuperior": "dc=new"},
    ),
    "compare": (
        tlv(0x6E, octets(DN), tlv(0x30, octets(b"sn"), octets(b"Lovelace"))),
        {"assertion": {"type": "sn", "value": "Lovelace"}},
    ),
    "abandon": (tlv(0x50, b"\x05"), {"abandoned": 5}),
    "unbind": (tlv(0x42), {}),
    "extended": (tlv(0x77, octets(b"1.3.6.1.4.1.4203.1.11.3", 0x80)), {"name": "Who am I"}),
}


@pytest.mark.parametrize("kind", OPERATIONS)
def test_operation(kind: str) -> None:
    operation, shown = OPERATIONS[kind]
    (request,) = found_in(tcp(message(4, operation), port=389))
    assert (request.fields["ldap_type"], request.kind, request.error) == (kind, MessageKind.REQUEST, "")
    assert request.one_way is (kind in ("abandon", "unbind"))
    assert shown.items() <= document(request).items()
    if operation[0] not in (0x42, 0x50, 0x77):
        assert request.fields["ldap_dn"] == DN.decode()


def test_new_passwords_stay_secret() -> None:
    change = tlv(0x77, octets(PASSWORD_MODIFY.encode(), 0x80), octets(tlv(0x30, octets(b"new", 0x82)), 0x81))
    answer = result(0x78, 0, octets(tlv(0x30, octets(b"made", 0x80)), 0x8B))
    request, response = found_in(tcp(message(4, change), message(4, answer), port=389))
    assert (document(request)["value"], document(response)["value"]) == ("[redacted]", "[redacted]")


def test_controls() -> None:
    paged = tlv(0x30, octets(b"1.2.840.113556.1.4.319"), tlv(1, b"\xff"), octets(tlv(0x30, number(9), octets(b"c"))))
    (request,) = found_in(tcp(message(4, tlv(0x42), tlv(0xA0, paged)), port=389))
    assert document(request)["controls"] == [
        {"oid": "1.2.840.113556.1.4.319", "name": "Paged results", "critical": True, "size": 9, "hasCookie": True}
    ]


def test_notice_of_disconnection() -> None:
    (notice,) = found_in(tcp(b"", message(0, result(0x78, 52)), port=389))
    assert (notice.kind, notice.fields["ldap_result_name"]) == (MessageKind.EVENT, "unavailable")


def test_start_tls_hands_over() -> None:
    ask, answer = message(1, tlv(0x77, octets(START_TLS.encode(), 0x80))), message(1, result(0x78, 0))
    *messages, handover = ldap.dissect(ldap.LDAP, [tcp(ask + TLS, answer + TLS[:3], port=389)])[0]
    assert isinstance(handover, Handover)
    assert handover.protocol == "tlsx"
    assert [bytes(side.data) for side in handover.sides] == [TLS, TLS[:3]]
    assert len(messages) == 2


def test_start_tls_refused() -> None:
    ask, answer = message(1, tlv(0x77, octets(START_TLS.encode(), 0x80))), message(1, result(0x78, 2))
    found = ldap.dissect(ldap.LDAP, [tcp(ask + message(2, SIMPLE_BIND), answer, port=389)])[0]
    assert not any(isinstance(part, Handover) for part in found)
    assert len(found) == 3


def wrapped(clear: bytes, flags: int = 0) -> bytes:
    """RFC 4121 §4.2.6.2, a checksum of four octets rotated to the front."""
    token = b"\x05\x04" + bytes([flags]) + b"\xff\0\x04\0\x04" + bytes(8) + b"SUM!" + clear
    return len(token).to_bytes(4, "big") + token


def test_signed_messages_are_read() -> None:
    whole = message(5, SEARCH) + message(6, SIMPLE_BIND)
    stream = tcp(message(1, SIMPLE_BIND) + wrapped(whole[:40]) + wrapped(whole[40:]), port=389)
    assert [found.fields["ldap_type"] for found in found_in(stream)] == ["bind", "search", "bind"]


def test_sealed_messages_are_counted() -> None:
    found = found_in(tcp(b"", message(1, result(0x61, 0)) + wrapped(b"?" * 30, 2), port=389))
    assert (found[1].kind, found[1].fields["ldap_type"]) == (MessageKind.EVENT, "sasl")
    assert document(found[1])["isEncrypted"] is True


def test_ntlm_signature() -> None:
    token = b"\x01\0\0\0" + bytes(12) + message(9, SEARCH)
    found = found_in(tcp(len(token).to_bytes(4, "big") + token, port=389))
    assert [part.fields["ldap_type"] for part in found] == ["search"]


def test_cldap() -> None:
    request, response = found_in(udp((0, message(1, SEARCH)), (1, message(1, ENTRY) + message(1, DONE)), port=389))
    assert (request.key, response.key, response.datagram) == ("1", "1", 1)
    assert response.fields["ldap_entries"] == 1


def test_bytes_that_are_none() -> None:
    found = found_in(tcp(message(1, SIMPLE_BIND) + b"garbage" + message(2, tlv(0x42)), port=389))
    assert [part.error for part in found] == ["", "malformed: no message begins with 0x67", ""]


def test_seen_from_the_middle() -> None:
    found = found_in(tcp(SEARCH[9:] + message(2, tlv(0x42)), port=389, midway=True))
    assert [(part.fields["ldap_type"], part.start) for part in found] == [("unbind", len(SEARCH) - 9)]


def test_gap() -> None:
    first = message(1, SEARCH)
    wire = first[:20] + bytes(4) + first[24:] + message(2, tlv(0x42))
    found = found_in(tcp(wire, port=389, gaps={0: [(20, 24, 4)]}))
    assert [part.error for part in found] == ["gap: 4 bytes missing at 20", ""]


@pytest.mark.parametrize("cut", range(1, len(message(1, SEARCH))))
def test_cut_anywhere(cut: int) -> None:
    (found,) = found_in(tcp(message(1, SEARCH)[:cut], port=389))
    assert found.error == f"truncated: only {cut} bytes were captured"
    if found.detail:
        document(found)


@pytest.mark.parametrize(
    ("data", "mine"),
    [
        (message(1, SIMPLE_BIND), True),
        (message(1, SIMPLE_BIND)[:12], True),
        (b"\x30\x26\x02\x01\x01\x04\x06public\xa0\x19", False),  # SNMP
        (b"\x30\x0c\x02\x01\x01\x60\x20", False),
        (b"GET / HTTP/1.1\r\n\r\n", False),
        (b"", False),
        (TLS, False),
    ],
    ids=["bind", "cut bind", "snmp", "too long", "http", "nothing", "tls"],
)
def test_probe(data: bytes, mine: bool) -> None:
    for port in (389, 4389):
        assert is_mine(tcp(data, port=port)) is mine
        assert is_mine(udp((0, data), port=port)) is mine


def test_probe_of_sealed_streams_asks_for_the_port() -> None:
    assert is_mine(tcp(wrapped(b"?" * 30, 2), port=389, midway=True))
    assert not is_mine(tcp(wrapped(b"?" * 30, 2), port=4389, midway=True))


FILTERS = {
    "(|(!(a=b))(c>=1)(d<=2)(e~=x))": tlv(
        0xA1,
        tlv(0xA2, tlv(0xA3, octets(b"a"), octets(b"b"))),
        tlv(0xA5, octets(b"c"), octets(b"1")),
        tlv(0xA6, octets(b"d"), octets(b"2")),
        tlv(0xA8, octets(b"e"), octets(b"x")),
    ),
    "(cn=a*b*c*d)": tlv(
        0xA4, octets(b"cn"), tlv(0x30, tlv(0x80, b"a"), tlv(0x81, b"b"), tlv(0x81, b"c"), tlv(0x82, b"d"))
    ),
    "(cn=*b*)": tlv(0xA4, octets(b"cn"), tlv(0x30, tlv(0x81, b"b"))),
    "(cn=*z)": tlv(0xA4, octets(b"cn"), tlv(0x30, tlv(0x82, b"z"))),
    "(cn:dn:2.4.6:=x)": tlv(0xA9, tlv(0x81, b"2.4.6"), tlv(0x82, b"cn"), tlv(0x83, b"x"), tlv(0x84, b"\xff")),
    "(userPassword=[redacted])": tlv(0xA3, octets(b"userPassword"), octets(b"pw")),
}


@pytest.mark.parametrize("text", FILTERS)
def test_filter(text: str) -> None:
    assert filter_text(FILTERS[text], element(FILTERS[text], 0, len(FILTERS[text]))) == text


def test_filters_do_not_nest_without_end() -> None:
    nested = tlv(0x87, b"cn")
    for _ in range(70):
        nested = tlv(0xA2, nested)
    with pytest.raises(BadBer):
        filter_text(nested, element(nested, 0, len(nested)))


def test_escapes() -> None:
    assert (escaped(b"a(b)\0"), escaped(b"\xff"), escaped("é".encode())) == (r"a\28b\29\00", r"\ff", "é")


@given(st.binary(max_size=200), st.integers(0, 200), st.booleans())
def test_any_bytes(junk: bytes, at: int, midway: bool) -> None:
    wire = message(1, SEARCH) + wrapped(message(2, ENTRY)) + message(3, DONE)
    wire = wire[:at] + junk + wire[at:]
    for stream in (tcp(wire, wire, port=389, midway=midway), udp((0, wire), (1, wire), port=389)):
        for found in found_in(stream):
            assert 0 <= found.start < found.end <= len(wire)
            if found.detail:
                found.detail()


@given(st.sampled_from([part for part, _ in OPERATIONS.values()] + [SEARCH, ENTRY, DONE, SIMPLE_BIND]), st.data())
def test_a_hostile_byte_spoils_one_message(operation: bytes, data: st.DataObject) -> None:
    wire = message(5, operation)
    at = data.draw(st.integers(0, len(wire) - 1))
    hit = wire[:at] + data.draw(st.binary(min_size=1, max_size=1)) + wire[at + 1 :]
    for found in found_in(udp((0, hit), (0, message(6, tlv(0x42))), port=389)):
        if found.detail:
            document(found)
    assert found.fields["ldap_type"] == "unbind"
