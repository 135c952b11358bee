"""What permissions say, and what they cover."""

from __future__ import annotations

import ipaddress

import pytest

from kubeshark.extension_api._permissions import Grants, HostGrant, PathGrant, check_grant, is_public


@pytest.mark.parametrize(
    ("grant", "scheme", "host", "port", "covered"),
    [
        ("hooks.example", "https", "hooks.example", 443, True),
        ("hooks.example", "http", "hooks.example", 80, True),
        ("hooks.example", "http", "hooks.example", 443, False),
        ("HOOKS.example", "https", "hooks.example", 443, True),
        ("hooks.example", "https", "a.hooks.example", 443, False),
        ("https://hooks.example", "http", "hooks.example", 80, False),
        ("https://hooks.example:8443", "https", "hooks.example", 8443, True),
        ("hooks.example:8443", "https", "hooks.example", 443, False),
        ("*.example", "https", "a.b.example", 443, True),
        ("*.example", "https", "example", 443, False),
        ("*.example", "https", "aexample", 443, False),
        ("*", "http", "any.thing", 8080, True),
        ("*:443", "https", "any.thing", 444, False),
        ("10.0.0.0/8", "http", "10.1.2.3", 9000, True),
        ("10.0.0.0/8", "http", "11.1.2.3", 80, False),
        ("10.0.0.0/8", "http", "intra.example", 80, False),
        ("127.0.0.1:9000", "http", "127.0.0.1", 9000, True),
        ("127.0.0.1:9000", "http", "127.0.0.1", 9001, False),
        ("[::1]:9000", "http", "::1", 9000, True),
        ("[fd00::]/8", "http", "fd00::1", 80, True),
        ("localhost", "http", "localhost", 80, True),
    ],
)
def test_a_host_grant_covers(grant: str, scheme: str, host: str, port: int, covered: bool) -> None:
    assert HostGrant.parse(grant).covers(scheme, host, port) is covered


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "http://",
        "ftp://x",
        "x/y",
        "x:y",
        "x:99999",
        "user@x",
        "exämple",
        "10.0.0.1/8",
        "a..b",
        "*x",
        "x?y",
        "x" * 2000,
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) no"):
        HostGrant.parse(text)


@pytest.mark.parametrize(
    ("text", "path", "writable"),
    [
        ("data", "data", True),
        ("ro:data", "data", False),
        ("/srv/out", "/srv/out", True),
        ("rw:/srv//out/", "/srv/out", True),
        ("ro:/srv/out", "/srv/out", False),
    ],
)
def test_a_path_grant_says(text: str, path: str, writable: bool) -> None:
    grant = PathGrant.parse(text)
    assert (grant.path, grant.writable) == (path, writable)


@pytest.mark.parametrize(
    "text", ["", "/", "//", "out", "./out", "/srv/../etc", "/srv/./x", "xx:/srv", "ro:", "/a\nb", "/a\0b"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is "):
        PathGrant.parse(text)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("192.168.1.1", False),
        ("172.16.0.1", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("2002:7f00:1::", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def test_nothing_is_granted_by_default() -> None:
    grants = Grants.parse()
    assert not grants.host("https", "example.com", 443)
    assert not grants.address(ipaddress.ip_address("10.0.0.1"), "http", 80)
    assert grants.address(ipaddress.ip_address("93.184.216.34"), "http", 80)  # by name it was refused before


def test_only_what_was_asked_for_can_be_granted() -> None:
    check_grant("hosts", "a.example", asked=("a.example",))
    check_grant("hosts", "10.0.0.0/8", asked=("*",))
    check_grant("paths", "/srv/out", asked=("*",))
    check_grant("paths", "*")
    for kind, text, asked in (
        ("hosts", "b.example", ("a.example",)),
        ("hosts", "*", ("a.example",)),
        ("paths", "/etc", ("data",)),
        ("env", "HOME", ("*",)),
    ):
        with pytest.raises(ValueError, match="was not asked for"):
            check_grant(kind, text, asked=asked)
    with pytest.raises(ValueError, match="is no folder"):
        check_grant("paths", "*", asked=("*",))
